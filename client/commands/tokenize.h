#ifndef SEER_CLIENT_COMMANDS_TOKENIZE_H_
#define SEER_CLIENT_COMMANDS_TOKENIZE_H_

#include <memory>

#include "client/commands/command.h"

namespace seer {

// seerctl tokenize: text to token ids and back.
std::unique_ptr<Command> MakeTokenizeCommand();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_TOKENIZE_H_
