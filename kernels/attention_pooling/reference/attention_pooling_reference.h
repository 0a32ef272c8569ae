// The targets of calibration, as plainly as they can be written.
#ifndef SEER_KERNELS_ATTENTION_POOLING_REFERENCE_ATTENTION_POOLING_REFERENCE_H_
#define SEER_KERNELS_ATTENTION_POOLING_REFERENCE_ATTENTION_POOLING_REFERENCE_H_

#include "kernels/attention_pooling/attention_pooling.h"
#include "kernels/device.h"

namespace seer {

// Pools valid arguments' probabilities row by row in double. Each result is
// rounded once.
void PoolAttentionReference(const AttentionPoolingArgs& args,
                            DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_REFERENCE_ATTENTION_POOLING_REFERENCE_H_
