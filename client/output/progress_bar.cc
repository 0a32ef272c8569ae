#include "client/output/progress_bar.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_format.h"

namespace seer {
namespace {

constexpr int64_t kWidth = 24;

// To the line's start, and clear to its end (ECMA-48).
constexpr char kClearLine[] = "\r\x1b[K";

}  // namespace

void ProgressBar::Draw(int64_t processed, int64_t total) {
  if (terminal_ == nullptr || total <= 0) return;
  const double share =
      std::clamp(static_cast<double>(processed) / total, 0.0, 1.0);
  const auto filled = static_cast<size_t>(share * kWidth);
  *terminal_ << kClearLine
             << absl::StrFormat("%s [%s%s] %d/%d %s %3d %%", what_,
                                std::string(filled, '#'),
                                std::string(kWidth - filled, '.'), processed,
                                total, unit_, static_cast<int>(share * 100))
             << std::flush;
  drawn_ = true;
}

void ProgressBar::Clear() {
  if (!drawn_) return;
  *terminal_ << kClearLine << std::flush;
  drawn_ = false;
}

}  // namespace seer
