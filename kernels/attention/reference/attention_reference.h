// The answer of attention, as plainly as it can be written.
#ifndef SEER_KERNELS_ATTENTION_REFERENCE_ATTENTION_REFERENCE_H_
#define SEER_KERNELS_ATTENTION_REFERENCE_ATTENTION_REFERENCE_H_

#include "kernels/attention/attention.h"
#include "kernels/device.h"

namespace seer {

// Attends valid arguments row by row in double. Each result is rounded once,
// to the type it is stored as. `out` may be null.
void AttendReference(const AttentionArgs& args, DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_REFERENCE_ATTENTION_REFERENCE_H_
