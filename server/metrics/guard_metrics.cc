#include "server/metrics/guard_metrics.h"

#include <algorithm>

#include "server/metrics/buckets.h"

namespace seer {
namespace {

constexpr const char* kDropNames[] = {"full", "busy", "draining", "late",
                                      "failed"};

}  // namespace

GuardMetrics::GuardMetrics(const std::string& model)
    : kl_(&prometheus::BuildHistogram()
               .Name("seer_quality_guard_kl_nats")
               .Help("KL(dense || sparse) of first tokens' distributions.")
               .Labels({{"model", model}})
               .Register(registry_)),
      mean_(&prometheus::BuildGauge()
                 .Name("seer_quality_guard_kl_mean_nats")
                 .Help("Mean of the last comparisons, about 64.")
                 .Labels({{"model", model}})
                 .Register(registry_)) {
  auto& dropped = prometheus::BuildCounter()
                      .Name("seer_quality_guard_dropped_total")
                      .Help("Requests that were chosen and not compared.")
                      .Labels({{"model", model}})
                      .Register(registry_);
  for (int i = 0; i < kNumGuardDropLabels; ++i) {
    dropped_[i] = &dropped.Add({{"reason", kDropNames[i]}});
  }
}

GuardMetrics::Series& GuardMetrics::SeriesOf(const std::string& gate_set) {
  const auto found = series_.find(gate_set);
  if (found != series_.end()) return found->second;
  if (series_.size() == kMaxGateSets) {
    const auto oldest = std::min_element(
        series_.begin(), series_.end(), [](const auto& a, const auto& b) {
          return a.second.last_seen < b.second.last_seen;
        });
    kl_->Remove(oldest->second.kl);
    mean_->Remove(oldest->second.mean);
    series_.erase(oldest);
  }
  Series& series = series_[gate_set];
  series.kl = &kl_->Add({{"gate_set", gate_set}}, KlBuckets());
  series.mean = &mean_->Add({{"gate_set", gate_set}});
  return series;
}

void GuardMetrics::ObserveKl(const std::string& gate_set, double kl_nats) {
  MutexLock lock(&mutex_);
  Series& series = SeriesOf(gate_set);
  series.last_seen = ++num_observed_;
  series.num_seen = std::min(series.num_seen + 1, kMeanWindow);
  const double mean = series.mean->Value();
  series.mean->Set(mean +
                   (kl_nats - mean) / static_cast<double>(series.num_seen));
  series.kl->Observe(kl_nats);
}

void GuardMetrics::CountDrop(GuardDropLabel reason) {
  dropped_[static_cast<int>(reason)]->Increment();
}

}  // namespace seer
