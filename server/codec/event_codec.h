#ifndef SEER_SERVER_CODEC_EVENT_CODEC_H_
#define SEER_SERVER_CODEC_EVENT_CODEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/request.h"
#include "proto/seer/v1/completion.pb.h"

namespace seer {

// What of a request the frames of its reply repeat or depend on.
struct ReplyContext {
  std::string request_id;
  bool policy_was_sent = false;
};

// Appends an event's frames. Log-probabilities and tokens of one event are cut
// into frames of at most 1024 tokens, far below the 4 MiB that clients take by
// default. A FailureEvent has none, nor has a FirstDistributionEvent, which is
// no client's.
void AppendFrames(const Event& event, const ReplyContext& context,
                  std::vector<v1::CompleteResponse>& frames);

// Adds an event to a gathered reply. Returns how many bytes the message grew at
// the most.
int64_t Gather(const Event& event, const ReplyContext& context,
               v1::CompleteResult& result);

}  // namespace seer

#endif  // SEER_SERVER_CODEC_EVENT_CODEC_H_
