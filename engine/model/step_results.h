// What a step gives back to the host. No torch.
#ifndef SEER_ENGINE_MODEL_STEP_RESULTS_H_
#define SEER_ENGINE_MODEL_STEP_RESULTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/device/transfer_buffer.h"

namespace seer {

// The best tokens, the blocks that each layer selected and a block of logits,
// side by side on the device, so that one copy brings them to the host. Tokens
// stand first: until the next step's replace them, that step finds them where
// its own will be.
class StepResults {
 public:
  struct Shape {
    int32_t num_layers = 0;  // that count blocks
    int32_t num_sequences = 0;
    int64_t best_rows = 0;
    int64_t logits_rows = 0;  // of a block
    int64_t vocab_size = 0;
  };

  // Borrows it.
  explicit StepResults(TransferBuffer* buffer) : buffer_(buffer) {}

  // To be called first; the buffer's turn is then this step's.
  absl::Status Reserve(const Shape& shape);

  // On the device. The counts are not zero yet.
  int32_t* best_tokens() const;  // [best_rows]
  int64_t* counts() const;       // [num_layers, num_sequences]
  float* best_logits() const;    // [best_rows], for the kernel that finds them
  float* logits() const;         // [logits_rows, vocab_size]

  // Enqueues the copy of the best tokens, the counts and the first `num_rows`
  // rows of logits to the host.
  absl::Status Fetch(int64_t num_rows);

  // On the host, once the device is done with Fetch: of one layer,
  // [num_sequences].
  absl::Span<const int64_t> CountsOf(int32_t layer) const;
  absl::Span<const int32_t> fetched_best_tokens() const;
  const float* fetched_logits() const;

 private:
  // Where the parts begin, in bytes.
  size_t BestLogitsOffset() const;
  size_t CountsOffset() const;
  size_t LogitsOffset() const;

  TransferBuffer* buffer_;
  Shape shape_;
  const char* fetched_ = nullptr;  // at the host
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_STEP_RESULTS_H_
