#ifndef SEER_CLIENT_COMMANDS_ADMIN_JOBS_H_
#define SEER_CLIENT_COMMANDS_ADMIN_JOBS_H_

#include <memory>
#include <vector>

#include "client/commands/command.h"

namespace seer {

// seerctl jobs ...: calibration jobs that there are.
std::vector<std::unique_ptr<Command>> MakeJobsCommands();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_JOBS_H_
