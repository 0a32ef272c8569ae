// A command's run of many scoring calls.
#ifndef SEER_CLIENT_COMMANDS_QUALITY_MEASUREMENT_H_
#define SEER_CLIENT_COMMANDS_QUALITY_MEASUREMENT_H_

#include <string>

#include "client/commands/command.h"
#include "client/connection/canceller.h"
#include "client/evaluation/scoring.h"
#include "client/interrupts.h"
#include "client/output/progress_bar.h"

namespace seer {

// While it lives, interrupts cancel the scorer's calls, and a progress bar
// shows them on a terminal, unless quiet.
class Measurement {
 public:
  // `session` must outlive this.
  Measurement(const Session& session, std::string what, int concurrency);
  Measurement(const Measurement&) = delete;
  Measurement& operator=(const Measurement&) = delete;

  const Scorer& scorer() const { return scorer_; }
  const CallOptions& options() const { return scorer_.options; }

 private:
  Canceller canceller_;
  const Interrupts::Scope scope_;
  ProgressBar progress_;
  Scorer scorer_;
};

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_QUALITY_MEASUREMENT_H_
