#ifndef SEER_TESTS_TESTING_ENGINE_FAKES_FAKE_GATE_CONTROL_H_
#define SEER_TESTS_TESTING_ENGINE_FAKES_FAKE_GATE_CONTROL_H_

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/thread/mutex.h"
#include "engine/gate_control.h"
#include "tests/testing/engine/fakes/fake_engine.h"

namespace seer {

// A file that FakeGateControl takes for a gate set of this design and base
// model. `content` stands for weights.
std::string FakeGateFile(absl::string_view design,
                         absl::string_view fingerprint,
                         absl::string_view content);

// A GateControl without weights, which writes down what it is told and fails
// where a test says so. Any other file is a gate set of its model too, but that
// one which begins with "wrong" is none, one with "other" is another model's,
// and one with "oracle" is refused as such. Thread-safe.
class FakeGateControl final : public GateControl {
 public:
  // Of the model "m", and of no engine.
  explicit FakeGateControl(size_t num_slots = 8);
  // Keeps the gate sets of an engine, which is borrowed, as every engine does.
  FakeGateControl(FakeEngine* engine, size_t num_slots);

  absl::StatusOr<GateFileFacts> Validate(
      const std::string& path) const override;
  absl::StatusOr<GateFileFacts> Install(const std::string& path) override;
  absl::Status Remove(const std::string& name) override;
  absl::Status SetRouting(const GateRouting& routing) override;
  GateRouting routing() const override;

  // "install ID", "remove ID", "route STABLE CANARY FRACTION", as they were
  // done; ids are those of the names. Forgotten when asked.
  std::vector<std::string> TakeCalls();
  // Names of what is installed now.
  std::vector<std::string> installed() const;

  // Before each SetRouting, without a lock: its error is SetRouting's.
  void OnRoute(std::function<absl::Status(const GateRouting&)> hook);

 private:
  // Writes the call down and has the engine follow.
  void Done(std::string call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FakeEngine* const engine_;  // null: none
  const std::string model_id_;
  const std::string fingerprint_;
  const size_t num_slots_;
  mutable Mutex mutex_;
  std::function<absl::Status(const GateRouting&)> on_route_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, GateFileFacts> sets_ ABSL_GUARDED_BY(mutex_);
  GateRouting routing_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_FAKES_FAKE_GATE_CONTROL_H_
