#ifndef SEER_CLIENT_COMMANDS_STATUS_H_
#define SEER_CLIENT_COMMANDS_STATUS_H_

#include <memory>

#include "client/commands/command.h"

namespace seer {

// seerctl status: what a server serves, and how busy it is.
std::unique_ptr<Command> MakeStatusCommand();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_STATUS_H_
