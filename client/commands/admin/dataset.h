#ifndef SEER_CLIENT_COMMANDS_ADMIN_DATASET_H_
#define SEER_CLIENT_COMMANDS_ADMIN_DATASET_H_

#include <memory>
#include <vector>

#include "client/commands/command.h"

namespace seer {

// seerctl dataset ...: text to calibrate on.
std::vector<std::unique_ptr<Command>> MakeDatasetCommands();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_DATASET_H_
