// One subcommand of seerctl.
#ifndef SEER_CLIENT_COMMANDS_COMMAND_H_
#define SEER_CLIENT_COMMANDS_COMMAND_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/admin/gate_admin_client.h"
#include "client/completion/completion_client.h"
#include "client/flags/connection_flags.h"
#include "client/flags/flag_set.h"
#include "client/output/console.h"

namespace seer {

// Flags of every command.
struct OutputOptions {
  bool json = false;   // one JSON object on standard output, and nothing else
  bool quiet = false;  // no progress bar and no closing line
};

// What a command runs with. All borrowed.
struct Session {
  // Both at the address of --server, which listens to one of them.
  const CompletionClient& client;
  const GateAdminClient& admin;
  absl::Duration timeout;  // of each call
  Console& console;
  OutputOptions output;
};

class Command {
 public:
  virtual ~Command() = default;

  // One word, or two of which the first is shared: "dataset list".
  virtual std::string name() const = 0;
  // One clause, for the list of commands.
  virtual std::string summary() const = 0;
  // What follows the name on the command line.
  virtual std::string arguments() const = 0;
  // Paragraphs of at most 80 columns for the help text; "": none.
  virtual std::string description() const = 0;

  // Where --server points.
  virtual ServerPort port() const { return ServerPort::kCompletion; }

  virtual void AddFlags(FlagSet* flags) = 0;

  // After the flags were parsed: checks arguments and reads files. An error
  // means that the command was used wrongly.
  virtual absl::Status Prepare(absl::Span<const std::string> positional,
                               const OutputOptions& output,
                               Console& console) = 0;

  // After Prepare, once. Prints results; the caller prints the error.
  virtual absl::Status Run(const Session& session) = 0;
};

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_COMMAND_H_
