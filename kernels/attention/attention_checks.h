// What attention, and ops that compute it too, refuse.
#ifndef SEER_KERNELS_ATTENTION_ATTENTION_CHECKS_H_
#define SEER_KERNELS_ATTENTION_ATTENTION_CHECKS_H_

#include "absl/status/status.h"
#include "kernels/attention/attention.h"
#include "kernels/device.h"

namespace seer {

// Attend's errors, but that `out` may be null. The contents of arrays are
// looked at unless they are in device memory.
absl::Status CheckAttentionArgs(Backend backend, const AttentionArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_ATTENTION_CHECKS_H_
