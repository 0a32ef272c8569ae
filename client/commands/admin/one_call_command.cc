#include "client/commands/admin/one_call_command.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace seer {
namespace {

class CommandOfOneCall final : public Command {
 public:
  explicit CommandOfOneCall(OneCallCommand command)
      : command_(std::move(command)) {}

  std::string name() const override { return command_.name; }
  std::string summary() const override { return command_.summary; }
  std::string arguments() const override {
    return absl::StrCat("[flags]", command_.arguments.empty() ? "" : " ",
                        command_.arguments);
  }
  std::string description() const override { return command_.description; }
  ServerPort port() const override { return ServerPort::kGateAdmin; }
  void AddFlags(FlagSet*) override {}

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console&) override {
    arguments_.assign(positional.begin(), positional.end());
    return CheckArguments(positional, command_.arguments);
  }

  absl::Status Run(const Session& session) override {
    return command_.run(AdminSession(session), arguments_);
  }

 private:
  const OneCallCommand command_;
  std::vector<std::string> arguments_;
};

}  // namespace

std::unique_ptr<Command> MakeOneCallCommand(OneCallCommand command) {
  return std::make_unique<CommandOfOneCall>(std::move(command));
}

absl::Status CheckArguments(absl::Span<const std::string> positional,
                            absl::string_view wanted) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(wanted, ' ', absl::SkipEmpty());
  if (positional.size() == words.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      words.empty() ? std::string("there are no arguments")
                    : absl::StrCat("the arguments are ", wanted));
}

}  // namespace seer
