// The mass inside block sets, as plainly as it can be written.
#ifndef SEER_KERNELS_ATTENTION_POOLING_REFERENCE_MASS_RECALL_REFERENCE_H_
#define SEER_KERNELS_ATTENTION_POOLING_REFERENCE_MASS_RECALL_REFERENCE_H_

#include "base/thread/executor.h"
#include "kernels/attention_pooling/mass_recall.h"

namespace seer {

// Sums valid arguments' rows in double, in order.
void MassRecallReference(const MassRecallArgs& args, Executor& executor);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_REFERENCE_MASS_RECALL_REFERENCE_H_
