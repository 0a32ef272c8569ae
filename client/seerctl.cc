#include "client/seerctl.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/version.h"
#include "client/admin/gate_admin_client.h"
#include "client/commands/admin/calibrate.h"
#include "client/commands/admin/dataset.h"
#include "client/commands/admin/gates.h"
#include "client/commands/admin/jobs.h"
#include "client/commands/admin/rollout.h"
#include "client/commands/chat.h"
#include "client/commands/command.h"
#include "client/commands/complete.h"
#include "client/commands/quality/evaluate.h"
#include "client/commands/quality/needle.h"
#include "client/commands/score.h"
#include "client/commands/status.h"
#include "client/commands/tokenize.h"
#include "client/completion/completion_client.h"
#include "client/connection/connection.h"
#include "client/connection/error_details.h"
#include "client/flags/connection_flags.h"
#include "client/flags/flag_set.h"
#include "client/output/result_json.h"

namespace seer {
namespace {

std::vector<std::unique_ptr<Command>> AllCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeCompleteCommand());
  commands.push_back(MakeChatCommand());
  commands.push_back(MakeTokenizeCommand());
  commands.push_back(MakeScoreCommand());
  commands.push_back(MakeEvaluateCommand());
  commands.push_back(MakeNeedleCommand());
  commands.push_back(MakeStatusCommand());
  commands.push_back(MakeCalibrateCommand());
  for (auto make : {MakeDatasetCommands, MakeJobsCommands, MakeGatesCommands,
                    MakeRolloutCommands}) {
    for (std::unique_ptr<Command>& command : make()) {
      commands.push_back(std::move(command));
    }
  }
  return commands;
}

// Null where there is none of that name.
std::unique_ptr<Command> FindCommand(const std::string& name) {
  for (std::unique_ptr<Command>& command : AllCommands()) {
    if (command->name() == name) return std::move(command);
  }
  return nullptr;
}

// A line for each command whose name begins with `prefix`; "" without any.
std::string CommandLines(const std::string& prefix) {
  std::string text;
  for (const std::unique_ptr<Command>& command : AllCommands()) {
    if (!absl::StartsWith(command->name(), prefix)) continue;
    absl::StrAppendFormat(&text, "  %-16s%s\n", command->name(),
                          command->summary());
  }
  return text;
}

std::string Overview() {
  std::string text = absl::StrCat(
      "seerctl talks to a SeerServe server.\n\n"
      "Usage: seerctl COMMAND [flags] [arguments]\n\nCommands:\n",
      CommandLines(""));
  absl::StrAppend(&text,
                  "\nExit codes: 0 ok, 1 wrong usage, 2 refused, 3 unavailable "
                  "or full,\n4 cancelled or deadline passed, 5 failed.\n"
                  "`seerctl COMMAND --help` lists a command's flags, "
                  "`seerctl --version` says\nwhich this is.\n");
  return text;
}

bool AsksForHelp(absl::Span<const std::string> args) {
  for (const std::string& arg : args) {
    if (arg == "--") return false;
    if (arg == "--help" || arg == "-h") return true;
  }
  return false;
}

// One command with the flags that all have.
class Invocation {
 public:
  explicit Invocation(std::unique_ptr<Command> command)
      : command_(std::move(command)) {
    command_->AddFlags(&flags_);
    flags_.Group("Output");
    flags_.Add("json", &output_.json, "",
               "print one JSON object (errors too); see docs/seerctl.md");
    flags_.Add("quiet", &output_.quiet, "",
               "no progress bar and no closing line");
    connection_flags_.AddTo(command_->port(), &flags_);
  }

  std::string Help() const {
    std::string summary = command_->summary();
    summary[0] = absl::ascii_toupper(summary[0]);
    std::string text =
        absl::StrCat("Usage: seerctl ", command_->name(), " ",
                     command_->arguments(), "\n\n", summary, ".\n");
    if (const std::string more = command_->description(); !more.empty()) {
      absl::StrAppend(&text, "\n", more);
    }
    return absl::StrCat(text, flags_.Help());
  }

  int Run(absl::Span<const std::string> args, Console& console) {
    const auto connection = Prepare(args, console);
    if (!connection.ok()) {
      console.err << "seerctl: " << connection.status().message()
                  << " (see seerctl " << command_->name() << " --help)"
                  << std::endl;
      return kExitUsage;
    }
    const CompletionClient client(*connection);
    const GateAdminClient admin(*connection);
    const absl::Status status = command_->Run(
        {client, admin, connection_flags_.timeout(), console, output_});
    if (status.ok()) return kExitOk;
    if (output_.json) {
      console.out << ToText(ErrorJson(status)) << std::endl;
    }
    console.err << "seerctl: " << DescribeError(status) << std::endl;
    return ExitCodeOf(status);
  }

 private:
  absl::StatusOr<std::shared_ptr<const Connection>> Prepare(
      absl::Span<const std::string> args, Console& console) {
    const auto positional = flags_.Parse(args);
    if (!positional.ok()) return positional.status();
    const auto options = connection_flags_.Options();
    if (!options.ok()) return options.status();
    if (absl::Status status = command_->Prepare(*positional, output_, console);
        !status.ok()) {
      return status;
    }
    return Connection::Create(*options);
  }

  const std::unique_ptr<Command> command_;
  FlagSet flags_;
  OutputOptions output_;
  ConnectionFlags connection_flags_;
};

// What is to be done where `name`, with the first of `rest`, is no command.
int RunWithoutCommand(const std::string& name,
                      absl::Span<const std::string> rest, bool help,
                      Console& console) {
  const std::string group = CommandLines(absl::StrCat(name, " "));
  if (!group.empty() && help) {
    console.out << "Usage: seerctl COMMAND [flags] [arguments]\n\nCommands:\n"
                << group;
    return kExitOk;
  }
  console.err << "seerctl: unknown command \"" << name
              << (group.empty() || rest.empty() ? "" : " " + rest[0])
              << "\" (see seerctl " << (group.empty() ? "" : name + " ")
              << "--help)" << std::endl;
  return kExitUsage;
}

}  // namespace

SeerctlExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return kExitRefused;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnavailable;
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitCancelled;
    default:
      return kExitFailed;
  }
}

int RunSeerctl(absl::Span<const std::string> args, Console& console) {
  if (args.empty()) {
    console.err << Overview();
    return kExitUsage;
  }
  std::string name = args[0];
  absl::Span<const std::string> rest = args.subspan(1);
  bool help = AsksForHelp(rest);
  if (name == "help" && !rest.empty()) {
    name = rest[0];
    rest = rest.subspan(1);
    help = true;
  } else if (name == "help" || name == "--help" || name == "-h") {
    console.out << Overview();
    return kExitOk;
  }
  if (name == "--version" || name == "version") {
    console.out << "seerctl " << kVersion << std::endl;
    return kExitOk;
  }
  if (absl::StartsWith(name, "-")) {
    console.err << "seerctl: " << name
                << " before the command: flags follow it (see seerctl --help)"
                << std::endl;
    return kExitUsage;
  }
  std::unique_ptr<Command> command = FindCommand(name);
  if (command == nullptr && !rest.empty()) {
    command = FindCommand(absl::StrCat(name, " ", rest[0]));
    if (command != nullptr) rest.remove_prefix(1);
  }
  if (command == nullptr) return RunWithoutCommand(name, rest, help, console);
  Invocation invocation(std::move(command));
  if (help) {
    console.out << invocation.Help();
    return kExitOk;
  }
  return invocation.Run(rest, console);
}

}  // namespace seer
