// seerctl, the command line client, as a function.
#ifndef SEER_CLIENT_SEERCTL_H_
#define SEER_CLIENT_SEERCTL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/output/console.h"

namespace seer {

// An interface: docs/seerctl.md lists them.
enum SeerctlExitCode {
  kExitOk = 0,
  kExitUsage = 1,        // wrong flags, arguments or files; nothing was sent
  kExitRefused = 2,      // the server understood and will not: asking again
                         // does not help
  kExitUnavailable = 3,  // not reachable, draining or full: try again later
  kExitCancelled = 4,    // cancelled, or the deadline passed
  kExitFailed = 5,       // something went wrong in the server or on the way
};

// What an error of a call comes to.
SeerctlExitCode ExitCodeOf(const absl::Status& status);

// Runs `seerctl ARGS...` to its end; returns a SeerctlExitCode.
int RunSeerctl(absl::Span<const std::string> args, Console& console);

}  // namespace seer

#endif  // SEER_CLIENT_SEERCTL_H_
