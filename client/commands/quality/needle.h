#ifndef SEER_CLIENT_COMMANDS_QUALITY_NEEDLE_H_
#define SEER_CLIENT_COMMANDS_QUALITY_NEEDLE_H_

#include <memory>

#include "client/commands/command.h"

namespace seer {

// seerctl needle: whether facts hidden in a long text are found.
std::unique_ptr<Command> MakeNeedleCommand();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_QUALITY_NEEDLE_H_
