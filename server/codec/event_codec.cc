#include "server/codec/event_codec.h"

#include <algorithm>
#include <variant>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "server/codec/policy_codec.h"

namespace seer {
namespace {

constexpr size_t kMaxTokensPerFrame = 1024;

// The range of durations that the wire can carry is far wider than the
// engine's.
void Encode(absl::Duration duration, google::protobuf::Duration& out) {
  out.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out.set_nanos(static_cast<int32_t>(
      absl::IDivDuration(duration, absl::Nanoseconds(1), &duration)));
}

void Encode(const TokenLogprob& token, v1::TokenLogprob& out) {
  out.set_token_id(token.id);
  out.set_token(token.text);
  out.set_logprob(token.logprob);
}

void Encode(const LogprobEntry& entry, v1::LogprobEntry& out) {
  Encode(entry.token, *out.mutable_token());
  out.set_rank(entry.rank);
  out.mutable_top()->Reserve(static_cast<int>(entry.top.size()));
  for (const TokenLogprob& token : entry.top) Encode(token, *out.add_top());
}

void Encode(const FinishEvent& finish, v1::Finish& out) {
  out.set_index(finish.index);
  switch (finish.reason) {
    case FinishReason::kStop:
      out.set_reason(v1::FINISH_REASON_STOP);
      break;
    case FinishReason::kLength:
      out.set_reason(v1::FINISH_REASON_LENGTH);
      break;
    case FinishReason::kEndOfText:
      out.set_reason(v1::FINISH_REASON_END_OF_TEXT);
      break;
  }
  if (finish.stop_token) {
    out.set_stop_token_id(*finish.stop_token);
  } else if (!finish.stop_string.empty()) {
    out.set_stop_string(finish.stop_string);
  }
}

void Encode(const SummaryEvent& summary, const ReplyContext& context,
            v1::Summary& out) {
  v1::Usage& usage = *out.mutable_usage();
  usage.set_prompt_tokens(summary.prompt_tokens);
  usage.set_cached_tokens(summary.cached_tokens);
  usage.set_output_tokens(summary.output_tokens);
  v1::Timings& timings = *out.mutable_timings();
  Encode(summary.queue_time, *timings.mutable_queue());
  Encode(summary.prefill_time, *timings.mutable_prefill());
  Encode(summary.decode_time, *timings.mutable_decode());
  Encode(summary.time_to_first_token, *timings.mutable_time_to_first_token());
  *out.mutable_sparsity() =
      EncodeReport(summary.sparsity, context.policy_was_sent);
  out.set_seed(summary.seed);
}

class FrameAppender {
 public:
  FrameAppender(const ReplyContext& context,
                std::vector<v1::CompleteResponse>& frames)
      : context_(context), frames_(frames) {}

  void operator()(const AcceptedEvent& event) {
    v1::Accepted& out = *Add().mutable_accepted();
    out.set_request_id(context_.request_id);
    out.set_queue_position(event.queue_position);
  }

  void operator()(const PromptProgressEvent& event) {
    v1::PromptProgress& out = *Add().mutable_prompt_progress();
    out.set_total(event.total);
    out.set_cached(event.cached);
    out.set_processed(event.processed);
  }

  void operator()(const PromptLogprobsEvent& event) {
    const size_t size = event.entries.size();
    for (size_t begin = 0; begin < size; begin += kMaxTokensPerFrame) {
      v1::PromptLogprobs& out = *Add().mutable_prompt_logprobs();
      out.set_start(event.start + static_cast<int64_t>(begin));
      const size_t end = std::min(size, begin + kMaxTokensPerFrame);
      for (size_t i = begin; i < end; ++i) {
        Encode(event.entries[i], *out.add_entries());
      }
    }
  }

  void operator()(const FirstDistributionEvent&) {}

  void operator()(const DeltaEvent& event) {
    const size_t size = std::max(event.token_ids.size(), event.logprobs.size());
    size_t begin = 0;
    do {
      v1::Delta& out = *Add().mutable_delta();
      out.set_index(event.index);
      if (begin == 0) out.set_text(event.text);
      const size_t end = std::min(size, begin + kMaxTokensPerFrame);
      for (size_t i = begin; i < end; ++i) {
        if (i < event.token_ids.size()) out.add_token_ids(event.token_ids[i]);
        if (i < event.logprobs.size()) {
          Encode(event.logprobs[i], *out.add_logprobs());
        }
      }
      begin = end;
    } while (begin < size);
  }

  void operator()(const FinishEvent& event) {
    Encode(event, *Add().mutable_finish());
  }

  void operator()(const SummaryEvent& event) {
    Encode(event, context_, *Add().mutable_summary());
  }

  void operator()(const FailureEvent&) {}

 private:
  v1::CompleteResponse& Add() { return frames_.emplace_back(); }

  const ReplyContext& context_;
  std::vector<v1::CompleteResponse>& frames_;
};

// Key and length of an embedded message.
constexpr int64_t kFieldOverhead = 6;

class Gatherer {
 public:
  Gatherer(const ReplyContext& context, v1::CompleteResult& result)
      : context_(context), result_(result) {}

  int64_t operator()(const AcceptedEvent&) {
    result_.set_request_id(context_.request_id);
    return static_cast<int64_t>(context_.request_id.size()) + kFieldOverhead;
  }

  int64_t operator()(const PromptProgressEvent&) { return 0; }

  int64_t operator()(const PromptLogprobsEvent& event) {
    int64_t bytes = 0;
    for (const LogprobEntry& entry : event.entries) {
      v1::LogprobEntry& out = *result_.add_prompt_logprobs();
      Encode(entry, out);
      bytes += static_cast<int64_t>(out.ByteSizeLong()) + kFieldOverhead;
    }
    return bytes;
  }

  int64_t operator()(const FirstDistributionEvent&) { return 0; }

  int64_t operator()(const DeltaEvent& event) {
    v1::Choice& choice = ChoiceOf(event.index);
    choice.mutable_text()->append(event.text);
    int64_t bytes = static_cast<int64_t>(event.text.size());
    for (const TokenId id : event.token_ids) {
      choice.add_token_ids(id);
      bytes += 5;  // the widest id
    }
    for (const LogprobEntry& entry : event.logprobs) {
      v1::LogprobEntry& out = *choice.add_logprobs();
      Encode(entry, out);
      bytes += static_cast<int64_t>(out.ByteSizeLong()) + kFieldOverhead;
    }
    return bytes;
  }

  int64_t operator()(const FinishEvent& event) {
    v1::Finish& out = *ChoiceOf(event.index).mutable_finish();
    Encode(event, out);
    return static_cast<int64_t>(out.ByteSizeLong()) + kFieldOverhead;
  }

  int64_t operator()(const SummaryEvent& event) {
    v1::Summary& out = *result_.mutable_summary();
    Encode(event, context_, out);
    return static_cast<int64_t>(out.ByteSizeLong()) + kFieldOverhead;
  }

  int64_t operator()(const FailureEvent&) { return 0; }

 private:
  v1::Choice& ChoiceOf(int32_t index) {
    while (result_.choices_size() <= index) result_.add_choices();
    return *result_.mutable_choices(index);
  }

  const ReplyContext& context_;
  v1::CompleteResult& result_;
};

}  // namespace

void AppendFrames(const Event& event, const ReplyContext& context,
                  std::vector<v1::CompleteResponse>& frames) {
  std::visit(FrameAppender(context, frames), event);
}

int64_t Gather(const Event& event, const ReplyContext& context,
               v1::CompleteResult& result) {
  return std::visit(Gatherer(context, result), event);
}

}  // namespace seer
