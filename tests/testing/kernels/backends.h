// The backends that tests compare, and whether this machine can run them.
#ifndef SEER_TESTS_TESTING_KERNELS_BACKENDS_H_
#define SEER_TESTS_TESTING_KERNELS_BACKENDS_H_

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/device.h"

namespace seer {

// Those of this build, kReference first: kCuda is one with --config=cuda.
std::vector<Backend> BuiltBackends();

// The same without kReference, which the others are compared with.
std::vector<Backend> FastBackends();

// "reference", "cpu", "cuda".
const char* Name(Backend backend);

// Why the backend cannot run on this machine; empty: it can.
std::string MissingBackend(Backend backend);

// The backends of this build that this machine can run. Prints why it cannot
// run the others.
std::vector<Backend> RunnableBackends();

// Parametrized by backend; skips, with the reason, what cannot run here.
//
//   INSTANTIATE_TEST_SUITE_P(Backends, OpTest,
//                            testing::ValuesIn(BuiltBackends()), BackendName);
class BackendTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override;
};
std::string BackendName(const testing::TestParamInfo<Backend>& info);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_BACKENDS_H_
