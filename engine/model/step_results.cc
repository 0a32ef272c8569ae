#include "engine/model/step_results.h"

#include <cstddef>

#include "base/status_macros.h"

namespace seer {

size_t StepResults::BestTokensOffset() const {
  return sizeof(int64_t) * shape_.num_layers * shape_.num_sequences;
}

size_t StepResults::BestLogitsOffset() const {
  return BestTokensOffset() + sizeof(int32_t) * shape_.best_rows;
}

size_t StepResults::LogitsOffset() const {
  constexpr size_t kAlignment = 256;
  const size_t bytes = BestLogitsOffset() + sizeof(float) * shape_.best_rows;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

absl::Status StepResults::Reserve(const Shape& shape) {
  shape_ = shape;
  return buffer_->Reserve(LogitsOffset() +
                          sizeof(float) * shape.logits_rows * shape.vocab_size);
}

int64_t* StepResults::counts() const {
  return reinterpret_cast<int64_t*>(buffer_->device());
}

int32_t* StepResults::best_tokens() const {
  return reinterpret_cast<int32_t*>(buffer_->device() + BestTokensOffset());
}

float* StepResults::best_logits() const {
  return reinterpret_cast<float*>(buffer_->device() + BestLogitsOffset());
}

float* StepResults::logits() const {
  return reinterpret_cast<float*>(buffer_->device() + LogitsOffset());
}

absl::Status StepResults::Fetch(int64_t num_rows) {
  const size_t size =
      LogitsOffset() + sizeof(float) * num_rows * shape_.vocab_size;
  if (size > 0) SEER_RETURN_IF_ERROR(buffer_->Download(size));
  return device_->Synchronize();
}

absl::Span<const int64_t> StepResults::CountsOf(int32_t layer) const {
  return {reinterpret_cast<const int64_t*>(buffer_->host()) +
              int64_t{layer} * shape_.num_sequences,
          static_cast<size_t>(shape_.num_sequences)};
}

absl::Span<const int32_t> StepResults::fetched_best_tokens() const {
  return {
      reinterpret_cast<const int32_t*>(buffer_->host() + BestTokensOffset()),
      static_cast<size_t>(shape_.best_rows)};
}

const float* StepResults::fetched_logits() const {
  return reinterpret_cast<const float*>(buffer_->host() + LogitsOffset());
}

}  // namespace seer
