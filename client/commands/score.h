#ifndef SEER_CLIENT_COMMANDS_SCORE_H_
#define SEER_CLIENT_COMMANDS_SCORE_H_

#include <memory>

#include "client/commands/command.h"

namespace seer {

// seerctl score: the likelihood of a text under the model and a policy.
std::unique_ptr<Command> MakeScoreCommand();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_SCORE_H_
