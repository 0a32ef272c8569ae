#ifndef SEER_CLIENT_COMMANDS_QUALITY_EVALUATE_H_
#define SEER_CLIENT_COMMANDS_QUALITY_EVALUATE_H_

#include <memory>

#include "client/commands/command.h"

namespace seer {

// seerctl evaluate: perplexity of texts under gates, budgets and lengths.
std::unique_ptr<Command> MakeEvaluateCommand();

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_QUALITY_EVALUATE_H_
