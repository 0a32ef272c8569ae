#include "client/commands/stream_completion.h"

#include "client/completion/result_accumulator.h"
#include "client/connection/canceller.h"
#include "client/output/progress_bar.h"

namespace seer {

absl::StatusOr<v1::CompleteResult> StreamCompletion(
    const Session& session, const v1::CompleteRequest& request,
    std::ostream* text) {
  Console& console = session.console;
  Canceller canceller;
  const Interrupts::Scope scope(console.interrupts, &canceller);
  CallOptions options;
  options.timeout = session.timeout;
  options.canceller = &canceller;
  ProgressBar progress(console.err_is_terminal && !session.output.quiet
                           ? &console.err
                           : nullptr);
  ResultAccumulator accumulator;
  bool text_begun = false;
  const absl::Status status = session.client.Complete(
      request,
      [&](const v1::CompleteResponse& frame) {
        accumulator.Add(frame);
        if (frame.has_prompt_progress()) {
          progress.Draw(frame.prompt_progress().processed(),
                        frame.prompt_progress().total());
        } else if (frame.has_delta()) {
          progress.Clear();
          if (text != nullptr && frame.delta().index() == 0) {
            *text << frame.delta().text() << std::flush;
            text_begun = true;
          }
        }
        return true;
      },
      options);
  progress.Clear();
  if (text_begun) *text << std::endl;
  if (!status.ok()) return status;
  return accumulator.result();
}

}  // namespace seer
