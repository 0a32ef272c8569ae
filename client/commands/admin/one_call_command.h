// A command of the admin service without flags of its own.
#ifndef SEER_CLIENT_COMMANDS_ADMIN_ONE_CALL_COMMAND_H_
#define SEER_CLIENT_COMMANDS_ADMIN_ONE_CALL_COMMAND_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/commands/admin/admin_session.h"
#include "client/commands/command.h"

namespace seer {

struct OneCallCommand {
  std::string name;
  std::string summary;
  std::string arguments;  // "NAME"; as many words as it takes
  std::string description;
  std::function<absl::Status(const AdminSession& admin,
                             const std::vector<std::string>& arguments)>
      run;
};

std::unique_ptr<Command> MakeOneCallCommand(OneCallCommand command);

// INVALID_ARGUMENT: `positional` are not as many as the words of `wanted`.
absl::Status CheckArguments(absl::Span<const std::string> positional,
                            absl::string_view wanted);

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_ONE_CALL_COMMAND_H_
