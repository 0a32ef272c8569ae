// The CPU backend of attention.
#ifndef SEER_KERNELS_ATTENTION_CPU_ATTENTION_CPU_H_
#define SEER_KERNELS_ATTENTION_CPU_ATTENTION_CPU_H_

#include "kernels/attention/attention.h"
#include "kernels/attention/cpu/instruction_set.h"
#include "kernels/device.h"

namespace seer {

// Attends valid arguments with one instruction set, which the machine must
// support and which must have a kernel for args.dtype.
//
// A row's result is the same in every bit whatever else is in the batch,
// however its prompt was chunked, and on any number of threads.
void AttendOnCpu(const AttentionArgs& args, InstructionSet instruction_set,
                 DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CPU_ATTENTION_CPU_H_
