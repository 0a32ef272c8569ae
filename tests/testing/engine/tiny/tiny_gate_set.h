// A gate set file with random weights for a model of WriteTinyLlama.
#ifndef SEER_TESTS_TESTING_ENGINE_TINY_TINY_GATE_SET_H_
#define SEER_TESTS_TESTING_ENGINE_TINY_TINY_GATE_SET_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {

struct TinyGateSetOptions {
  TinyLlamaOptions model;
  std::string fingerprint;                 // of that model
  std::string design = "Qavg_Kmaxminavg";  // also one without weights
  bool double_linear = false;  // a design of several query pools is so anyway
  bool with_profile = false;   // without weights there always is one
  uint64_t seed = 1;
};

// INVALID_ARGUMENT: no such design.
absl::Status WriteTinyGateSet(const std::string& path,
                              const TinyGateSetOptions& options);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_TINY_TINY_GATE_SET_H_
