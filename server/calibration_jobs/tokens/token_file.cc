#include "server/calibration_jobs/tokens/token_file.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace seer {

absl::StatusOr<std::shared_ptr<const TokenFile>> TokenFile::Open(
    const ScratchFile& file, int64_t sequence_len) {
  SEER_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(file.path()));
  return std::shared_ptr<const TokenFile>(
      new TokenFile(std::move(mapped), sequence_len));
}

absl::Span<const TokenId> TokenFile::ids() const {
  const absl::Span<const uint8_t> bytes = file_.bytes();
  return {reinterpret_cast<const TokenId*>(bytes.data()),
          bytes.size() / sizeof(TokenId)};
}

absl::StatusOr<std::vector<TokenId>> TokenFile::Read(int64_t index) const {
  if (index < 0 || index >= num_sequences()) {
    return absl::OutOfRangeError(absl::StrCat(
        "sequence ", index, " of ", num_sequences(), " was asked for"));
  }
  const auto begin = ids().begin() + index * sequence_len_;
  return std::vector<TokenId>(begin, begin + sequence_len_);
}

}  // namespace seer
