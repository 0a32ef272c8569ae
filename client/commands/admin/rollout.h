#ifndef SEER_CLIENT_COMMANDS_ADMIN_ROLLOUT_H_
#define SEER_CLIENT_COMMANDS_ADMIN_ROLLOUT_H_

#include <memory>
#include <vector>

#include "client/commands/command.h"

namespace seer {

// seerctl gates rollout, activate, promote, rollback, history: which gate sets
// requests use.
std::vector<std::unique_ptr<Command>> MakeRolloutCommands();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_ROLLOUT_H_
