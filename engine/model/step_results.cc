#include "engine/model/step_results.h"

#include <cstddef>

namespace seer {
namespace {

size_t Align(size_t offset, size_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

}  // namespace

size_t StepResults::BestLogitsOffset() const {
  return sizeof(int32_t) * shape_.best_rows;
}

size_t StepResults::CountsOffset() const {
  return Align(BestLogitsOffset() + sizeof(float) * shape_.best_rows,
               sizeof(int64_t));
}

size_t StepResults::LogitsOffset() const {
  return Align(CountsOffset() +
                   sizeof(int64_t) * shape_.num_layers * shape_.num_sequences,
               256);
}

absl::Status StepResults::Reserve(const Shape& shape) {
  shape_ = shape;
  return buffer_->Reserve(LogitsOffset() +
                          sizeof(float) * shape.logits_rows * shape.vocab_size);
}

int32_t* StepResults::best_tokens() const {
  return reinterpret_cast<int32_t*>(buffer_->device());
}

float* StepResults::best_logits() const {
  return reinterpret_cast<float*>(buffer_->device() + BestLogitsOffset());
}

int64_t* StepResults::counts() const {
  return reinterpret_cast<int64_t*>(buffer_->device() + CountsOffset());
}

float* StepResults::logits() const {
  return reinterpret_cast<float*>(buffer_->device() + LogitsOffset());
}

absl::Status StepResults::Fetch(int64_t num_rows) {
  fetched_ = buffer_->host();
  const size_t size =
      LogitsOffset() + sizeof(float) * num_rows * shape_.vocab_size;
  return size == 0 ? absl::OkStatus() : buffer_->Download(size);
}

absl::Span<const int64_t> StepResults::CountsOf(int32_t layer) const {
  return {reinterpret_cast<const int64_t*>(fetched_ + CountsOffset()) +
              int64_t{layer} * shape_.num_sequences,
          static_cast<size_t>(shape_.num_sequences)};
}

absl::Span<const int32_t> StepResults::fetched_best_tokens() const {
  return {reinterpret_cast<const int32_t*>(fetched_),
          static_cast<size_t>(shape_.best_rows)};
}

const float* StepResults::fetched_logits() const {
  return reinterpret_cast<const float*>(fetched_ + LogitsOffset());
}

}  // namespace seer
