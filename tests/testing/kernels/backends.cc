#include "tests/testing/kernels/backends.h"

#include <cstdio>

#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_array.h"
#endif

namespace seer {

std::vector<Backend> BuiltBackends() {
#ifdef SEER_CUDA
  return {Backend::kReference, Backend::kCpu, Backend::kCuda};
#else
  return {Backend::kReference, Backend::kCpu};
#endif
}

std::vector<Backend> FastBackends() {
  const std::vector<Backend> built = BuiltBackends();
  return {built.begin() + 1, built.end()};
}

const char* Name(Backend backend) {
  switch (backend) {
    case Backend::kReference:
      return "reference";
    case Backend::kCpu:
      return "cpu";
    case Backend::kCuda:
      return "cuda";
  }
  return "unknown";
}

std::string MissingBackend(Backend backend) {
  if (backend != Backend::kCuda) return "";
#ifdef SEER_CUDA
  return MissingCudaDevice();
#else
  return "built without CUDA";
#endif
}

std::vector<Backend> RunnableBackends() {
  std::vector<Backend> runnable;
  for (const Backend backend : BuiltBackends()) {
    const std::string missing = MissingBackend(backend);
    if (missing.empty()) {
      runnable.push_back(backend);
    } else {
      std::printf("%s is left out: %s\n", Name(backend), missing.c_str());
    }
  }
  return runnable;
}

void BackendTest::SetUp() {
  const std::string missing = MissingBackend(GetParam());
  if (!missing.empty()) GTEST_SKIP() << missing;
}

std::string BackendName(const testing::TestParamInfo<Backend>& info) {
  return Name(info.param);
}

}  // namespace seer
