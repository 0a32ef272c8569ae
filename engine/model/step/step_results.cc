#include "engine/model/step/step_results.h"

#include <cstddef>
#include <type_traits>

namespace seer {

absl::Status StepResults::Reserve(const Shape& shape) {
  shape_ = shape;
  size_t end = 0;
  // The next part's, of so many bytes.
  const auto place = [&](size_t bytes) {
    constexpr size_t kAlignment = 16;
    const size_t at = end;
    end = (end + bytes + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  };
  const size_t num_tops = shape.num_scores * shape.num_top;
  place(sizeof(int32_t) * shape.num_draws);
  at_.log_sums = place(sizeof(double) * shape.num_scores);
  at_.top_ids = place(sizeof(int32_t) * num_tops);
  at_.top_logits = place(sizeof(float) * num_tops);
  at_.logits_of_scores = place(sizeof(float) * shape.num_scores);
  at_.ranks = place(sizeof(int32_t) * shape.num_scores);
  at_.counts = place(sizeof(int64_t) * shape.num_layers * shape.num_sequences);
  at_.logits = end;
  return buffer_->Reserve(end +
                          sizeof(float) * shape.logits_rows * shape.vocab_size);
}

int32_t* StepResults::drawn() const {
  return reinterpret_cast<int32_t*>(buffer_->device());
}

template <class Arrays, class Byte>
Arrays StepResults::ScoresAt(Byte* base) const {
  Arrays scores;
  const auto at = [&](auto*& array, size_t offset) {
    array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(base +
                                                                       offset);
  };
  at(scores.top_ids, at_.top_ids);
  at(scores.top_logits, at_.top_logits);
  at(scores.logits, at_.logits_of_scores);
  at(scores.ranks, at_.ranks);
  at(scores.log_sums, at_.log_sums);
  return scores;
}

StepResults::Scores StepResults::scores() const {
  return ScoresAt<Scores>(buffer_->device());
}

int64_t* StepResults::counts() const {
  return reinterpret_cast<int64_t*>(buffer_->device() + at_.counts);
}

float* StepResults::logits() const {
  return reinterpret_cast<float*>(buffer_->device() + at_.logits);
}

absl::Status StepResults::Fetch(int64_t num_rows) {
  fetched_ = buffer_->host();
  const size_t size = at_.logits + sizeof(float) * num_rows * shape_.vocab_size;
  return size == 0 ? absl::OkStatus() : buffer_->Download(size);
}

absl::Span<const int32_t> StepResults::fetched_drawn() const {
  return {reinterpret_cast<const int32_t*>(fetched_),
          static_cast<size_t>(shape_.num_draws)};
}

StepResults::FetchedScores StepResults::fetched_scores() const {
  return ScoresAt<FetchedScores>(fetched_);
}

absl::Span<const int64_t> StepResults::CountsOf(int32_t layer) const {
  return {reinterpret_cast<const int64_t*>(fetched_ + at_.counts) +
              int64_t{layer} * shape_.num_sequences,
          static_cast<size_t>(shape_.num_sequences)};
}

const float* StepResults::fetched_logits() const {
  return reinterpret_cast<const float*>(fetched_ + at_.logits);
}

}  // namespace seer
