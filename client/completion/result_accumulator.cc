#include "client/completion/result_accumulator.h"

namespace seer {
namespace {

// Far above any server's limit on choices: what a frame may make us allocate.
constexpr int kMaxChoices = 1024;

}  // namespace

v1::Choice* ResultAccumulator::ChoiceAt(int index) {
  if (index < 0 || index >= kMaxChoices) return nullptr;
  while (result_.choices_size() <= index) result_.add_choices();
  return result_.mutable_choices(index);
}

void ResultAccumulator::Add(const v1::CompleteResponse& frame) {
  switch (frame.frame_case()) {
    case v1::CompleteResponse::kAccepted:
      result_.set_request_id(frame.accepted().request_id());
      break;
    case v1::CompleteResponse::kPromptLogprobs:
      result_.mutable_prompt_logprobs()->MergeFrom(
          frame.prompt_logprobs().entries());
      break;
    case v1::CompleteResponse::kDelta: {
      v1::Choice* choice = ChoiceAt(frame.delta().index());
      if (choice == nullptr) break;
      choice->mutable_text()->append(frame.delta().text());
      choice->mutable_token_ids()->MergeFrom(frame.delta().token_ids());
      choice->mutable_logprobs()->MergeFrom(frame.delta().logprobs());
      break;
    }
    case v1::CompleteResponse::kFinish: {
      v1::Choice* choice = ChoiceAt(frame.finish().index());
      if (choice == nullptr) break;
      *choice->mutable_finish() = frame.finish();
      break;
    }
    case v1::CompleteResponse::kSummary:
      *result_.mutable_summary() = frame.summary();
      break;
    case v1::CompleteResponse::kPromptProgress:
    case v1::CompleteResponse::FRAME_NOT_SET:
      break;
  }
}

}  // namespace seer
