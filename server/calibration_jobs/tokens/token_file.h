#ifndef SEER_SERVER_CALIBRATION_JOBS_TOKENS_TOKEN_FILE_H_
#define SEER_SERVER_CALIBRATION_JOBS_TOKENS_TOKEN_FILE_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file/mapped_file.h"
#include "engine/calibrator.h"
#include "engine/token.h"
#include "server/calibration_jobs/tokens/scratch_file.h"

namespace seer {

// Token ids in a file of int32, mapped and cut into sequences; what is left at
// the end, shorter than a sequence, is in none. Immutable, so thread-safe.
class TokenFile final : public TokenSequences {
 public:
  // Of all that was appended to `file`, which may go afterwards.
  // `sequence_len` >= 1, in tokens.
  static absl::StatusOr<std::shared_ptr<const TokenFile>> Open(
      const ScratchFile& file, int64_t sequence_len);

  int64_t num_tokens() const { return static_cast<int64_t>(ids().size()); }
  int64_t num_sequences() const override {
    return num_tokens() / sequence_len_;
  }
  // OUT_OF_RANGE: there is no such sequence.
  absl::StatusOr<std::vector<TokenId>> Read(int64_t index) const override;

 private:
  TokenFile(MappedFile file, int64_t sequence_len)
      : file_(std::move(file)), sequence_len_(sequence_len) {}

  absl::Span<const TokenId> ids() const;

  const MappedFile file_;
  const int64_t sequence_len_;
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_TOKENS_TOKEN_FILE_H_
