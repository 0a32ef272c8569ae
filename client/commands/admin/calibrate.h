#ifndef SEER_CLIENT_COMMANDS_ADMIN_CALIBRATE_H_
#define SEER_CLIENT_COMMANDS_ADMIN_CALIBRATE_H_

#include <memory>

#include "client/commands/command.h"

namespace seer {

// seerctl calibrate: from text to a gate set that serves.
std::unique_ptr<Command> MakeCalibrateCommand();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_CALIBRATE_H_
