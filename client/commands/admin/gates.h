#ifndef SEER_CLIENT_COMMANDS_ADMIN_GATES_H_
#define SEER_CLIENT_COMMANDS_ADMIN_GATES_H_

#include <memory>
#include <vector>

#include "client/commands/command.h"

namespace seer {

// seerctl gates ...: gate sets as files.
std::vector<std::unique_ptr<Command>> MakeGatesCommands();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_GATES_H_
