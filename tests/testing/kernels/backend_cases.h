// Tests that run once for each backend and dtype.
#ifndef SEER_TESTS_TESTING_KERNELS_BACKEND_CASES_H_
#define SEER_TESTS_TESTING_KERNELS_BACKEND_CASES_H_

#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "tests/testing/kernels/backends.h"

namespace seer {

using BackendCase = std::tuple<Backend, DType>;

// Skips, with the reason, backends that cannot run here.
//
//   INSTANTIATE_TEST_SUITE_P(All, OpTest, AllBackendCases(), BackendCaseName);
class BackendCaseTest : public testing::TestWithParam<BackendCase> {
 protected:
  void SetUp() override {
    const std::string missing = MissingBackend(backend());
    if (!missing.empty()) GTEST_SKIP() << missing;
  }

  static Backend backend() { return std::get<0>(GetParam()); }
  static DType dtype() { return std::get<1>(GetParam()); }
};

inline auto BackendCasesOf(const std::vector<Backend>& backends) {
  return testing::Combine(testing::ValuesIn(backends),
                          testing::Values(DType::kFloat32, DType::kBFloat16));
}
inline auto AllBackendCases() { return BackendCasesOf(BuiltBackends()); }

// Of the backends that are held against the reference.
inline auto FastBackendCases() {
  std::vector<Backend> backends = BuiltBackends();
  backends.erase(backends.begin());
  return BackendCasesOf(backends);
}

inline std::string BackendCaseName(
    const testing::TestParamInfo<BackendCase>& info) {
  const auto [backend, dtype] = info.param;
  return std::string(Name(backend)) +
         (dtype == DType::kFloat32 ? "_on_fp32" : "_on_bf16");
}

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_BACKEND_CASES_H_
