// What a step gives back to the host. No torch.
#ifndef SEER_ENGINE_MODEL_STEP_STEP_RESULTS_H_
#define SEER_ENGINE_MODEL_STEP_STEP_RESULTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/device/transfer_buffer.h"

namespace seer {

// The tokens that were drawn, scores, the blocks that each layer selected and a
// block of logits, side by side on the device, so that one copy brings them to
// the host. Drawn tokens stand first: until the next step's replace them, that
// step finds them where its own will be.
class StepResults {
 public:
  struct Shape {
    int64_t num_draws = 0;
    int64_t num_scores = 0;
    int32_t num_top = 0;     // of a score; >= 1 if there are any
    int32_t num_layers = 0;  // that count blocks
    int32_t num_sequences = 0;
    int64_t logits_rows = 0;  // of a block
    int64_t vocab_size = 0;
  };

  // What TopTokens gives of some rows.
  template <class Int, class Float, class Double>
  struct ScoreArrays {
    Int* top_ids = nullptr;       // [num_scores, num_top]
    Float* top_logits = nullptr;  // [num_scores, num_top]
    Float* logits = nullptr;      // [num_scores]
    Int* ranks = nullptr;         // [num_scores]
    Double* log_sums = nullptr;   // [num_scores]
  };
  using Scores = ScoreArrays<int32_t, float, double>;
  using FetchedScores = ScoreArrays<const int32_t, const float, const double>;

  // Borrows it.
  explicit StepResults(TransferBuffer* buffer) : buffer_(buffer) {}

  // To be called first; the buffer's turn is then this step's.
  absl::Status Reserve(const Shape& shape);

  // On the device. The counts are not zero yet.
  int32_t* drawn() const;  // [num_draws]
  Scores scores() const;
  int64_t* counts() const;  // [num_layers, num_sequences]
  float* logits() const;    // [logits_rows, vocab_size]

  // Enqueues the copy of all but logits, and of the first `num_rows` rows of
  // these, to the host.
  absl::Status Fetch(int64_t num_rows);

  // On the host, once the device is done with Fetch.
  absl::Span<const int32_t> fetched_drawn() const;
  FetchedScores fetched_scores() const;
  absl::Span<const int64_t> CountsOf(int32_t layer) const;  // [num_sequences]
  const float* fetched_logits() const;

  const Shape& shape() const { return shape_; }

 private:
  // Where the parts begin, in bytes.
  struct Offsets {
    size_t log_sums = 0;
    size_t top_ids = 0;
    size_t top_logits = 0;
    size_t logits_of_scores = 0;
    size_t ranks = 0;
    size_t counts = 0;
    size_t logits = 0;
  };
  template <class Arrays, class Byte>
  Arrays ScoresAt(Byte* base) const;

  TransferBuffer* buffer_;
  Shape shape_;
  Offsets at_;
  const char* fetched_ = nullptr;  // at the host
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_STEP_STEP_RESULTS_H_
