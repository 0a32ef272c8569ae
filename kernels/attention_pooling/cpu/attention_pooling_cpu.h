// The CPU backend of attention_pooling.
#ifndef SEER_KERNELS_ATTENTION_POOLING_CPU_ATTENTION_POOLING_CPU_H_
#define SEER_KERNELS_ATTENTION_POOLING_CPU_ATTENTION_POOLING_CPU_H_

#include "kernels/attention/cpu/instruction_set.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "kernels/device.h"

namespace seer {

// Pools valid arguments with one instruction set for the attention, which the
// machine must support and which must have a kernel for the dtype. Each thread
// takes 768 bytes of memory for each block that the longest row sees.
void PoolAttentionOnCpu(const AttentionPoolingArgs& args,
                        InstructionSet instruction_set, DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_CPU_ATTENTION_POOLING_CPU_H_
