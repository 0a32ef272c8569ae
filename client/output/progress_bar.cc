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
  if (total <= 0) return;
  const double share = static_cast<double>(processed) / total;
  Draw(what_, share,
       absl::StrFormat("%d/%d %s %3d %%", processed, total, unit_,
                       static_cast<int>(std::clamp(share, 0.0, 1.0) * 100)));
}

void ProgressBar::Draw(absl::string_view what, double share,
                       absl::string_view facts) {
  if (terminal_ == nullptr) return;
  const auto filled = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * kWidth);
  *terminal_ << kClearLine << what << " [" << std::string(filled, '#')
             << std::string(kWidth - filled, '.') << "] " << facts
             << std::flush;
  drawn_ = true;
}

void ProgressBar::Clear() {
  if (!drawn_) return;
  *terminal_ << kClearLine << std::flush;
  drawn_ = false;
}

}  // namespace seer
