// Runs of attention_pooling: on arguments in host memory, whichever backend
// runs them, and on random cases of attention.
#ifndef SEER_TESTS_TESTING_KERNELS_CASES_POOLING_CASE_H_
#define SEER_TESTS_TESTING_KERNELS_CASES_POOLING_CASE_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "kernels/attention_pooling/mass_recall.h"
#include "kernels/device.h"
#include "tests/testing/kernels/cases/attention_case.h"

namespace seer {

// kCuda works on a copy of everything, twice, the second time out of a captured
// graph. `stream` is for the other backends.
absl::Status PoolAttentionFromHost(Backend backend,
                                   const AttentionPoolingArgs& args,
                                   DeviceStream stream = {});
absl::Status MassRecallFromHost(Backend backend, const MassRecallArgs& args,
                                DeviceStream stream = {});

struct PoolingResult {
  AttentionResult attention;
  // [num_tiles, Hq, row_len]; what was not written is NaN.
  std::vector<float> max_target, mass_target;
};

// Calls `pool` on a case of prompts without sets, with every output wanted and
// rows some longer than they must be.
PoolingResult RunPooling(
    const AttentionCase& c,
    absl::FunctionRef<void(const AttentionPoolingArgs&)> pool);

// Whether targets are within the error budget of `reference` (from the same
// values in fp32), given PoolPlainly's, and nothing past the visible blocks was
// written. They are compared by tiles that see alike many blocks, log2, since
// they sum to 1 over the blocks; of one block they are 1.
::testing::AssertionResult WithinPoolingBudget(const AttentionCase& c,
                                               const PoolingResult& fast,
                                               const PoolingResult& plain,
                                               const PoolingResult& reference);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CASES_POOLING_CASE_H_
