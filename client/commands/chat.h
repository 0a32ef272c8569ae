#ifndef SEER_CLIENT_COMMANDS_CHAT_H_
#define SEER_CLIENT_COMMANDS_CHAT_H_

#include <memory>

#include "client/commands/command.h"

namespace seer {

// seerctl chat: a conversation, one line of standard input a turn.
std::unique_ptr<Command> MakeChatCommand();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_CHAT_H_
