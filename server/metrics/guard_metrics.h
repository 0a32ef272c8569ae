#ifndef SEER_SERVER_METRICS_GUARD_METRICS_H_
#define SEER_SERVER_METRICS_GUARD_METRICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "base/thread/mutex.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace seer {

// `reason` of a request that was chosen and not compared.
enum class GuardDropLabel {
  kFull,      // as many as are allowed ran or waited for their twins
  kBusy,      // requests waited, or there was no memory
  kDraining,  // the engine drained
  kLate,      // its twin took too long
  kFailed,    // the engine failed
};
inline constexpr int kNumGuardDropLabels = 5;

// Of the quality guard. A gate set's series are built when it is first seen.
// Thread-safe.
class GuardMetrics {
 public:
  // Gate sets that have series; beyond, those seen longest ago lose theirs. As
  // many as --gate_slots can be.
  static constexpr size_t kMaxGateSets = 64;
  // How many comparisons the mean looks back: it is the plain mean of the first
  // ones, and from then on a new one counts this part.
  static constexpr int64_t kMeanWindow = 64;

  // `model` is the label of that name on every metric.
  explicit GuardMetrics(const std::string& model);

  // A comparison of a request under the gate set: KL(dense || sparse), nats.
  void ObserveKl(const std::string& gate_set, double kl_nats);
  void CountDrop(GuardDropLabel reason);

  // For the text format.
  const prometheus::Registry& registry() const { return registry_; }

 private:
  struct Series {
    prometheus::Histogram* kl = nullptr;
    prometheus::Gauge* mean = nullptr;
    int64_t num_seen = 0;
    int64_t last_seen = 0;  // of num_observed_
  };

  Series& SeriesOf(const std::string& gate_set)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Histogram>* const kl_;
  prometheus::Family<prometheus::Gauge>* const mean_;
  std::array<prometheus::Counter*, kNumGuardDropLabels> dropped_;

  Mutex mutex_;
  std::map<std::string, Series> series_ ABSL_GUARDED_BY(mutex_);
  int64_t num_observed_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace seer

#endif  // SEER_SERVER_METRICS_GUARD_METRICS_H_
