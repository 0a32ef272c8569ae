#ifndef SEER_KERNELS_GATE_SCORE_REFERENCE_GATE_SCORE_REFERENCE_H_
#define SEER_KERNELS_GATE_SCORE_REFERENCE_GATE_SCORE_REFERENCE_H_

#include "kernels/gate_score/gate_score.h"

namespace seer {

// Defines GateScore's answer. `args` are valid.
void GateScoreReference(const GateScoreArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_REFERENCE_GATE_SCORE_REFERENCE_H_
