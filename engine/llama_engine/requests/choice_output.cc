#include "engine/llama_engine/requests/choice_output.h"

namespace seer {

ChoiceOutput::ChoiceOutput(int32_t index, const Tokenizer* tokenizer,
                           const StopConditions* conditions,
                           TokenHistory history)
    : index_(index),
      conditions_(conditions),
      history_(std::move(history)),
      decoder_(tokenizer, /*skip_special=*/true),
      matcher_(conditions->stop_strings) {}

bool ChoiceOutput::AddText(const std::string& text, FinishEvent& finish,
                           std::string& out) {
  if (num_tokens_ < conditions_->min_tokens) {
    out += text;
    return false;
  }
  StopStringMatcher::Result result = matcher_.Push(text);
  out += result.text;
  if (!result.stop.has_value()) return false;
  finish.reason = FinishReason::kStop;
  finish.stop_token.reset();
  finish.stop_string = conditions_->stop_strings->string(*result.stop);
  return true;
}

bool ChoiceOutput::AddRest(FinishEvent& finish, std::string& out) {
  if (AddText(decoder_.Flush(), finish, out)) return true;
  out += matcher_.Flush();
  return false;
}

ChoiceOutput::Step ChoiceOutput::Push(TokenId token,
                                      std::optional<LogprobEntry> logprob) {
  ++num_tokens_;
  last_token_ = token;
  history_.Append(token);
  Step step;
  step.delta.index = index_;
  step.delta.token_ids.push_back(token);
  if (logprob.has_value()) step.delta.logprobs.push_back(*std::move(logprob));

  FinishEvent finish;
  finish.index = index_;
  if (conditions_->end_ids.contains(token)) {
    finish.reason = FinishReason::kEndOfText;
    finished_ = true;
  } else if (conditions_->stop_ids.contains(token)) {
    finish.reason = FinishReason::kStop;
    finish.stop_token = token;
    finished_ = true;
  } else if (AddText(decoder_.Push(token), finish, step.delta.text)) {
    finished_ = true;
    step.finish = std::move(finish);
    return step;
  } else if (num_tokens_ >= conditions_->max_tokens) {
    finish.reason = FinishReason::kLength;
    finished_ = true;
  }
  if (finished_) {
    AddRest(finish, step.delta.text);
    step.finish = std::move(finish);
  }
  return step;
}

}  // namespace seer
