#include "server/dataset/token_id_reader.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace seer {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;
constexpr size_t kPartIds = size_t{1} << 18;
constexpr int32_t kSeparator = -1;

int32_t LittleEndian32(const char* bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return static_cast<int32_t>(value);
}

}  // namespace

absl::StatusOr<bool> TokenIdReader::Peek(int32_t& record) {
  if (position_ == block_.size()) {
    block_.clear();
    position_ = 0;
    SEER_ASSIGN_OR_RETURN(const size_t got, file_.Read(kBlockBytes, block_));
    if (got == 0) return false;
    if (got % sizeof(int32_t) != 0) {
      return absl::InvalidArgumentError(
          "the size is no multiple of 4 bytes, a token id's");
    }
  }
  record = LittleEndian32(&block_[position_]);
  return true;
}

absl::StatusOr<bool> TokenIdReader::Next(Document& document) {
  document = Document();
  while (true) {
    int32_t id = 0;
    SEER_ASSIGN_OR_RETURN(const bool any, Peek(id));
    if (!any) return !document.token_ids.empty();
    if (id == kSeparator) {
      Pass();
      if (document.token_ids.empty()) continue;
      return true;
    }
    if (document.token_ids.size() == kPartIds) {
      document.continues = true;
      return true;
    }
    if (id < 0 || id >= vocab_size_) {
      return absl::InvalidArgumentError(
          absl::StrCat("record ", num_passed_ + 1, " is ", id,
                       ", no token id of this model: they are in [0, ",
                       vocab_size_, "), and -1 separates documents"));
    }
    Pass();
    document.token_ids.push_back(id);
  }
}

}  // namespace seer
