#include "server/metrics/engine_collector.h"

#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace seer {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// One family under construction.
class FamilyBuilder {
 public:
  FamilyBuilder(const std::string& model, const char* name, const char* help,
                MetricType type)
      : model_(model) {
    family_.name = name;
    family_.help = help;
    family_.type = type;
  }

  FamilyBuilder& Add(double value,
                     std::initializer_list<ClientMetric::Label> labels = {}) {
    ClientMetric metric;
    metric.label = {{"model", model_}};
    metric.label.insert(metric.label.end(), labels.begin(), labels.end());
    if (family_.type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family_.metric.push_back(std::move(metric));
    return *this;
  }

  MetricFamily Take() { return std::move(family_); }

 private:
  const std::string& model_;
  MetricFamily family_;
};

}  // namespace

EngineCollector::EngineCollector(const Engine* engine, std::string model,
                                 PreviousGateSet previous)
    : engine_(engine),
      model_(std::move(model)),
      previous_(std::move(previous)) {}

std::vector<MetricFamily> EngineCollector::Collect() const {
  const EngineStats stats = engine_->Stats();
  std::vector<MetricFamily> families;
  auto gauge = [&](const char* name, const char* help) {
    return FamilyBuilder(model_, name, help, MetricType::Gauge);
  };
  auto counter = [&](const char* name, const char* help) {
    return FamilyBuilder(model_, name, help, MetricType::Counter);
  };
  auto number = [](auto value) { return static_cast<double>(value); };

  families.push_back(gauge("seer_requests_running", "Requests being computed.")
                         .Add(number(stats.requests_running))
                         .Take());
  families.push_back(
      gauge("seer_requests_waiting", "Admitted requests not yet started.")
          .Add(number(stats.requests_waiting), {{"priority", "normal"}})
          .Take());
  families.push_back(
      counter("seer_tokens_total", "Tokens computed.")
          .Add(number(stats.prompt_tokens_computed_total),
               {{"kind", "prompt_computed"}})
          .Add(number(stats.output_tokens_total), {{"kind", "output"}})
          .Take());
  const double total = number(stats.pages_total);
  families.push_back(
      gauge("seer_kv_cache_usage_ratio", "KV pages in use, of all.")
          .Add(total > 0 ? number(stats.pages_used) / total : 0.0)
          .Take());
  families.push_back(
      gauge("seer_kv_pages", "KV pages of 64 tokens.")
          .Add(total - number(stats.pages_used + stats.pages_cached),
               {{"state", "free"}})
          .Add(number(stats.pages_used), {{"state", "used"}})
          .Add(number(stats.pages_cached), {{"state", "cached"}})
          .Take());
  FamilyBuilder visible = counter("seer_attention_blocks_visible_total",
                                  "Key blocks that prompt tiles could see.");
  FamilyBuilder selected = counter("seer_attention_blocks_selected_total",
                                   "Key blocks that prompt tiles read.");
  for (size_t layer = 0; layer < stats.blocks_total.size(); ++layer) {
    const std::string name = absl::StrCat(layer);
    visible.Add(number(stats.blocks_total[layer].visible), {{"layer", name}});
    selected.Add(number(stats.blocks_total[layer].selected), {{"layer", name}});
  }
  families.push_back(visible.Take());
  families.push_back(selected.Take());
  FamilyBuilder gate_sets =
      gauge("seer_gate_set_info", "1; the gate sets behind the labels.");
  for (const GateSetInfo& info : engine_->gate_sets()) {
    if (!info.stable && !info.canary) continue;
    gate_sets.Add(1, {{"gate_set", info.name},
                      {"digest", info.version},
                      {"role", info.stable ? "stable" : "canary"}});
  }
  if (previous_) {
    const auto [name, digest] = previous_();
    if (!name.empty()) {
      gate_sets.Add(
          1, {{"gate_set", name}, {"digest", digest}, {"role", "previous"}});
    }
  }
  families.push_back(gate_sets.Take());
  families.push_back(
      gauge("seer_memory_bytes", "Memory by what holds it.")
          .Add(number(stats.weight_bytes), {{"kind", "weights"}})
          .Add(number(stats.kv_cache_bytes), {{"kind", "kv_cache"}})
          .Add(number(stats.gate_bytes), {{"kind", "gates"}})
          .Add(number(stats.step_bytes), {{"kind", "step"}})
          .Take());
  families.push_back(
      gauge("seer_engine_last_step_timestamp_seconds",
            "When the last step ended, Unix time; 0 before the first.")
          .Add(stats.last_step_time <= absl::UnixEpoch()
                   ? 0.0
                   : absl::ToDoubleSeconds(stats.last_step_time -
                                           absl::UnixEpoch()))
          .Take());
  families.push_back(gauge("seer_engine_healthy", "1 while the engine works.")
                         .Add(stats.healthy ? 1 : 0)
                         .Take());
  return families;
}

}  // namespace seer
