#ifndef SEER_TESTS_TESTING_ENGINE_RECORDED_GATES_H_
#define SEER_TESTS_TESTING_ENGINE_RECORDED_GATES_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "engine/gate_control.h"

namespace seer {

// A GateControl that writes down what it is told, and fails where a test says
// so. Any file is a gate set of the model "m", but that one which begins with
// "wrong" is none, one with "other" is another model's, and one with "oracle" is
// refused as such. Thread-safe.
class RecordedGates final : public GateControl {
 public:
  explicit RecordedGates(size_t num_slots = 8) : num_slots_(num_slots) {}

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
  const size_t num_slots_;
  mutable Mutex mutex_;
  std::function<absl::Status(const GateRouting&)> on_route_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, GateFileFacts> installed_ ABSL_GUARDED_BY(mutex_);
  GateRouting routing_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_RECORDED_GATES_H_
