#ifndef SEER_TESTS_TESTING_ENGINE_FAKE_GATE_CONTROL_H_
#define SEER_TESTS_TESTING_ENGINE_FAKE_GATE_CONTROL_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "engine/gate_control.h"
#include "tests/testing/engine/fake_engine.h"

namespace seer {

// A file that FakeGateControl takes for a gate set of this base model.
// `content` stands for weights.
std::string FakeGateFile(absl::string_view design,
                         absl::string_view fingerprint,
                         absl::string_view content);

// Keeps the gate sets of a FakeEngine, as every engine does, without weights.
// Thread-safe.
class FakeGateControl final : public GateControl {
 public:
  // `engine` is borrowed.
  FakeGateControl(FakeEngine* engine, int64_t num_slots)
      : engine_(engine), num_slots_(num_slots) {}

  absl::StatusOr<GateFileFacts> Validate(
      const std::string& path) const override;
  absl::StatusOr<GateFileFacts> Install(const std::string& path) override;
  absl::Status Remove(const std::string& name) override;
  absl::Status SetRouting(const GateRouting& routing) override;
  GateRouting routing() const override;

  // Names of all that were installed and not removed.
  std::vector<std::string> installed() const;

 private:
  void TellEngine() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FakeEngine* const engine_;
  const int64_t num_slots_;
  mutable Mutex mutex_;
  std::map<std::string, GateFileFacts> sets_ ABSL_GUARDED_BY(mutex_);
  GateRouting routing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_FAKE_GATE_CONTROL_H_
