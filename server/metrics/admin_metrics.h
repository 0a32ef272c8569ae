#ifndef SEER_SERVER_METRICS_ADMIN_METRICS_H_
#define SEER_SERVER_METRICS_ADMIN_METRICS_H_

#include <array>
#include <cstdint>
#include <string>

#include "prometheus/counter.h"
#include "prometheus/registry.h"

namespace seer {

// `result` of a change of the rollout: docs/metrics.md.
enum class ActivationResult { kOk, kRefused, kFailed, kFallback };
inline constexpr int kNumActivationResults = 4;

// Of GateAdminService. All series are built by the constructor. Thread-safe.
class AdminMetrics {
 public:
  // `model` is the label of that name on every metric.
  explicit AdminMetrics(const std::string& model);

  void CountActivation(ActivationResult result);
  // Appended to an upload.
  void CountUploadBytes(int64_t num_bytes);

  // For the text format.
  const prometheus::Registry& registry() const { return registry_; }

 private:
  prometheus::Registry registry_;
  std::array<prometheus::Counter*, kNumActivationResults> activations_;
  prometheus::Counter* upload_bytes_;
};

}  // namespace seer

#endif  // SEER_SERVER_METRICS_ADMIN_METRICS_H_
