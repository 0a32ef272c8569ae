// The gate's entries: pool, project, rotate.
#ifndef SEER_KERNELS_GATE_SCORE_CPU_GATE_ENTRIES_H_
#define SEER_KERNELS_GATE_SCORE_CPU_GATE_ENTRIES_H_

#include "base/thread/executor.h"
#include "kernels/gate_score/gate_score.h"

namespace seer {

// Writes the key entries of the scored tiles' pages, and the query entries, as
// floats that the dtype holds, to query_entries [num_scored_tiles, Hq, D].
void ComputeGateEntries(const GateScoreArgs& args, float* query_entries,
                        Executor& executor);

}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_CPU_GATE_ENTRIES_H_
