// The gate's logits: query entries against the key entries in the pages.
#ifndef SEER_KERNELS_GATE_SCORE_CPU_GATE_LOGITS_H_
#define SEER_KERNELS_GATE_SCORE_CPU_GATE_LOGITS_H_

#include "base/thread/executor.h"
#include "kernels/gate_score/gate_score.h"

namespace seer {

// Writes args.logits from query_entries [num_scored_tiles, Hq, D] and the key
// entries of all visible blocks.
void ComputeGateLogits(const GateScoreArgs& args, const float* query_entries,
                       Executor& executor);

}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_CPU_GATE_LOGITS_H_
