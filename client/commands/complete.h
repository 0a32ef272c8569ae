#ifndef SEER_CLIENT_COMMANDS_COMPLETE_H_
#define SEER_CLIENT_COMMANDS_COMPLETE_H_

#include <memory>

#include "client/commands/command.h"

namespace seer {

// seerctl complete: completes one prompt.
std::unique_ptr<Command> MakeCompleteCommand();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_COMPLETE_H_
