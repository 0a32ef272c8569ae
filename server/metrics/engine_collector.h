#ifndef SEER_SERVER_METRICS_ENGINE_COLLECTOR_H_
#define SEER_SERVER_METRICS_ENGINE_COLLECTOR_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace seer {

// The engine's own counts as metrics, read when they are scraped: one Stats()
// makes the whole answer, so its numbers agree with each other. Thread-safe.
class EngineCollector final : public prometheus::Collectable {
 public:
  // The gate set that a rollback would make stable, by name and digest; empty
  // where there is none. Must not block.
  using PreviousGateSet = std::function<std::pair<std::string, std::string>()>;

  // `engine` is borrowed; `model` is the label of that name. No `previous`:
  // there never is one.
  EngineCollector(const Engine* engine, std::string model,
                  PreviousGateSet previous = nullptr);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Engine* const engine_;
  const std::string model_;
  const PreviousGateSet previous_;
};

}  // namespace seer

#endif  // SEER_SERVER_METRICS_ENGINE_COLLECTOR_H_
