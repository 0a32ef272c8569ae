// Runs a completion and shows it while it arrives.
#ifndef SEER_CLIENT_COMMANDS_STREAM_COMPLETION_H_
#define SEER_CLIENT_COMMANDS_STREAM_COMPLETION_H_

#include <ostream>

#include "absl/status/statusor.h"
#include "client/commands/command.h"
#include "proto/seer/v1/completion.pb.h"

namespace seer {

// Streams `request`: a progress bar on standard error while the prompt is
// computed (on a terminal, unless quiet), then the text of choice 0 to `text`
// as it comes, ended by a newline. `text` may be null. Interrupts cancel.
// Errors are the call's.
absl::StatusOr<v1::CompleteResult> StreamCompletion(
    const Session& session, const v1::CompleteRequest& request,
    std::ostream* text);

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_STREAM_COMPLETION_H_
