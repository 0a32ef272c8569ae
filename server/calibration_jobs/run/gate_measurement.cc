#include "server/calibration_jobs/run/gate_measurement.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "engine/sparsity_policy.h"

namespace seer {
namespace {

constexpr double kDensities[] = {0.5, 0.2, 0.1};
constexpr int64_t kNumPolicies = 4;  // those, and dense

bool IsGateSlots(const absl::Status& status) {
  const std::optional<ErrorReason> reason = ReasonOf(status);
  return reason && reason->reason == "GATE_SLOTS";
}

SparsityPolicy SparseUnder(const std::string& gate_set, double density) {
  SparsityPolicy policy;
  policy.budget.kind = BudgetKind::kTargetSparsity;
  policy.budget.target_sparsity = 1.0 - density;
  policy.gate = GateChoice{GateChoice::Kind::kNamed, gate_set};
  return policy;
}

}  // namespace

GateQuality QualityOf(const CalibrationQuality& quality) {
  GateQuality out;
  out.num_tokens = quality.num_tokens;
  for (const CalibrationQuality::Layer& layer : quality.layers) {
    GateQuality::Layer& kept = out.layers.emplace_back();
    kept.loss = layer.loss;
    for (const CalibrationQuality::Recall& recall : layer.recalls) {
      kept.recalls.push_back({recall.density, recall.realized_density,
                              recall.mass_recall, recall.oracle_mass_recall,
                              recall.block_recall});
    }
  }
  return out;
}

GateMeasurement::GateMeasurement(
    const JobParts& parts, const Options& options,
    std::function<bool()> interrupted,
    std::function<void(absl::Duration)> on_time_left)
    : parts_(parts),
      options_(options),
      on_time_left_(std::move(on_time_left)),
      scorer_(parts.engine, options.scorer, std::move(interrupted)) {}

absl::StatusOr<std::string> GateMeasurement::Install(const std::string& path) {
  const absl::Time give_up = absl::Now() + options_.gate_slot_wait;
  while (true) {
    const absl::StatusOr<GateFileFacts> facts = parts_.gates->Install(path);
    if (facts.ok()) return facts->name;
    if (!IsGateSlots(facts.status())) return facts.status();
    if (absl::Now() >= give_up) return std::string();
    SEER_RETURN_IF_ERROR(scorer_.Wait(options_.scorer.poll_period));
  }
}

void GateMeasurement::Remove(const std::string& name) {
  const absl::Status removed = parts_.gates->Remove(name);
  if (removed.ok() || absl::IsFailedPrecondition(removed)) return;
  Log(LogLevel::kWarning, "a gate set that was measured stays installed",
      {{"gate_set", name}, {"error", removed.ToString()}});
}

absl::StatusOr<double> GateMeasurement::Perplexity(
    const TokenSequences& sequences, const std::vector<int64_t>& indices,
    const SparsityPolicy& policy) {
  SequenceScore sum;
  for (const int64_t index : indices) {
    SEER_ASSIGN_OR_RETURN(const std::vector<TokenId> sequence,
                          sequences.Read(index));
    SEER_ASSIGN_OR_RETURN(const SequenceScore score,
                          scorer_.Score(sequence, policy));
    sum.log_likelihood += score.log_likelihood;
    sum.num_tokens += score.num_tokens;
    ++num_scored_;
    on_time_left_((absl::Now() - start_) / num_scored_ *
                  (num_requests_ - num_scored_));
  }
  const double perplexity =
      std::exp(-sum.log_likelihood / static_cast<double>(sum.num_tokens));
  if (!std::isfinite(perplexity)) {
    return absl::InternalError("a perplexity is not finite");
  }
  return perplexity;
}

absl::Status GateMeasurement::Measure(const std::string& path,
                                      const TokenSequences& sequences,
                                      const std::vector<int64_t>& indices,
                                      GateQuality& quality) {
  start_ = absl::Now();
  num_scored_ = 0;
  num_requests_ = kNumPolicies * static_cast<int64_t>(indices.size());
  SEER_ASSIGN_OR_RETURN(quality.dense_perplexity,
                        Perplexity(sequences, indices, SparsityPolicy()));
  SEER_ASSIGN_OR_RETURN(const GateFileFacts facts,
                        parts_.gates->Validate(path));
  bool was_there = false;
  for (const GateSetInfo& info : parts_.engine->gate_sets()) {
    if (info.name == facts.name) was_there = true;
  }
  SEER_ASSIGN_OR_RETURN(const std::string name, Install(path));
  if (name.empty()) {
    Log(LogLevel::kError,
        "no room to measure a gate set's perplexity: its report lacks it",
        {{"gate_set", facts.name}});
    return absl::OkStatus();
  }
  const absl::Cleanup remove = [&] {
    if (!was_there) Remove(name);
  };
  for (const double density : kDensities) {
    SEER_ASSIGN_OR_RETURN(
        const double perplexity,
        Perplexity(sequences, indices, SparseUnder(name, density)));
    quality.perplexities.push_back({density, perplexity});
  }
  return absl::OkStatus();
}

}  // namespace seer
