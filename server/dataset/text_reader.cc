#include "server/dataset/text_reader.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/text/utf8.h"

namespace seer {
namespace {

constexpr size_t kPartBytes = size_t{1} << 20;
constexpr size_t kMaxSequenceBytes = 4;

// Where to cut a text that goes on, which has kPartBytes at least.
size_t CutOf(absl::string_view text) {
  const size_t newline = text.rfind('\n');
  if (newline != absl::string_view::npos) return newline + 1;
  for (size_t len = 1; len < kMaxSequenceBytes; ++len) {
    const size_t start = text.size() - len;
    if (ReadUtf8(text.substr(start)).kind == Utf8Sequence::Kind::kIncomplete) {
      return start;
    }
  }
  return text.size();
}

}  // namespace

absl::StatusOr<bool> TextReader::Next(Document& document) {
  if (!at_end_ && ahead_.size() <= kPartBytes) {
    // One more than a part, to know whether the part is the last.
    const size_t wanted = kPartBytes + 1 - ahead_.size();
    SEER_ASSIGN_OR_RETURN(const size_t got, file_.Read(wanted, ahead_));
    at_end_ = got < wanted;
  }
  if (ahead_.empty()) return false;
  const size_t size = at_end_ ? ahead_.size()
                              : CutOf(absl::string_view(ahead_).substr(
                                    0, std::min(ahead_.size(), kPartBytes)));
  const absl::string_view part = absl::string_view(ahead_).substr(0, size);
  const size_t wrong = std::min(FirstInvalidUtf8(part), part.find('\0'));
  if (wrong < size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "byte ", num_given_ + static_cast<int64_t>(wrong) + 1,
        part[wrong] == '\0' ? " is NUL: this is no text" : " is not UTF-8"));
  }
  document = Document();
  document.text = std::string(part);
  ahead_.erase(0, size);
  num_given_ += static_cast<int64_t>(size);
  document.continues = !at_end_ || !ahead_.empty();
  return true;
}

}  // namespace seer
