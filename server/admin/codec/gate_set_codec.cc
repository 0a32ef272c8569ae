#include "server/admin/codec/gate_set_codec.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/admin/codec/resource_names.h"
#include "server/admin/codec/wire_fields.h"

namespace seer {
namespace {

v1::GateRolloutCause EncodeCause(RolloutCause cause) {
  switch (cause) {
    case RolloutCause::kUpdate:
      return v1::GATE_ROLLOUT_CAUSE_UPDATE;
    case RolloutCause::kRollback:
      return v1::GATE_ROLLOUT_CAUSE_ROLLBACK;
    case RolloutCause::kFallback:
      return v1::GATE_ROLLOUT_CAUSE_FALLBACK;
  }
  return v1::GATE_ROLLOUT_CAUSE_UNSPECIFIED;
}

// The id of a gate set of `model`, or "" of an empty name.
absl::StatusOr<std::string> DecodeGateSet(const std::string& name,
                                          absl::string_view model,
                                          absl::string_view field) {
  if (name.empty()) return "";
  SEER_ASSIGN_OR_RETURN(GateSetKey key, ParseGateSetName(name, field));
  if (key.model != model) return NoSuch("GateSet", name);
  return std::move(key.id);
}

}  // namespace

GateSetFacts FactsOf(const GateFileFacts& file, absl::string_view model) {
  GateSetFacts facts;
  facts.model = std::string(model);
  facts.design = file.design;
  facts.fingerprint = file.fingerprint;
  facts.has_profile = file.has_profile;
  facts.provenance.target = file.target;
  facts.provenance.loss = file.loss;
  facts.provenance.dataset_sha256 = file.dataset_sha256;
  facts.provenance.dataset_tokens = file.dataset_tokens;
  facts.provenance.steps = file.steps;
  facts.provenance.seed = file.seed;
  facts.provenance.tool_version = file.tool_version;
  return facts;
}

v1::GateSet EncodeGateSet(const GateSetRecord& gate_set,
                          const Rollout& rollout) {
  const GateSetFacts& facts = gate_set.facts;
  v1::GateSet out;
  out.set_name(GateSetName(facts.model, gate_set.id));
  out.set_display_name(gate_set.display_name);
  out.set_design(facts.design);
  out.set_sha256(gate_set.sha256);
  out.set_size(gate_set.size);
  out.set_fingerprint(facts.fingerprint);
  out.set_has_profile(facts.has_profile);
  out.set_source(gate_set.source);
  v1::GateProvenance& provenance = *out.mutable_provenance();
  provenance.set_target(EncodeTarget(facts.provenance.target));
  provenance.set_loss(EncodeLoss(facts.provenance.loss));
  provenance.set_dataset_sha256(facts.provenance.dataset_sha256);
  provenance.set_dataset_tokens(facts.provenance.dataset_tokens);
  provenance.set_steps(facts.provenance.steps);
  provenance.set_seed(facts.provenance.seed);
  provenance.set_tool_version(facts.provenance.tool_version);
  if (gate_set.quality) {
    *out.mutable_quality() = EncodeQuality(*gate_set.quality);
  }
  if (gate_set.id == rollout.stable) out.add_labels(v1::GATE_LABEL_STABLE);
  if (gate_set.id == rollout.canary) out.add_labels(v1::GATE_LABEL_CANARY);
  *out.mutable_create_time() = EncodeTime(gate_set.create_time);
  if (gate_set.damage) *out.mutable_damage() = EncodeFailure(*gate_set.damage);
  return out;
}

v1::GateRollout EncodeRollout(absl::string_view model, const Rollout& rollout) {
  v1::GateRollout out;
  out.set_name(GateRolloutName(model));
  out.set_stable(GateSetName(model, rollout.stable));
  out.set_canary(GateSetName(model, rollout.canary));
  out.set_canary_fraction(rollout.canary_fraction);
  out.set_previous(GateSetName(model, rollout.previous));
  out.set_etag(rollout.etag);
  if (rollout.update_time != absl::InfinitePast()) {
    *out.mutable_update_time() = EncodeTime(rollout.update_time);
  }
  return out;
}

v1::GateRolloutRevision EncodeRevision(absl::string_view model,
                                       const RolloutRevision& revision) {
  v1::GateRolloutRevision out;
  *out.mutable_gate_rollout() = EncodeRollout(model, revision.rollout);
  out.set_cause(EncodeCause(revision.cause));
  out.set_message(revision.message);
  return out;
}

absl::StatusOr<RolloutChange> DecodeRolloutChange(
    const v1::UpdateGateRolloutRequest& request, absl::string_view model) {
  const v1::GateRollout& rollout = request.gate_rollout();
  bool stable = false, canary = false, fraction = false;
  const auto& paths = request.update_mask().paths();
  for (int i = 0; i < paths.size(); ++i) {
    bool& wanted = paths[i] == "stable"   ? stable
                   : paths[i] == "canary" ? canary
                                          : fraction;
    if (&wanted == &fraction && paths[i] != "canary_fraction") {
      return InvalidField(absl::StrCat("update_mask.paths[", i, "]"),
                          "must be stable, canary or canary_fraction");
    }
    wanted = true;
  }
  if (paths.empty()) stable = canary = fraction = true;
  RolloutChange change;
  if (stable) {
    SEER_ASSIGN_OR_RETURN(change.stable, DecodeGateSet(rollout.stable(), model,
                                                       "gate_rollout.stable"));
  }
  if (canary) {
    SEER_ASSIGN_OR_RETURN(change.canary, DecodeGateSet(rollout.canary(), model,
                                                       "gate_rollout.canary"));
  }
  if (fraction) change.canary_fraction = rollout.canary_fraction();
  if (rollout.etag().empty()) {
    return InvalidField("gate_rollout.etag", "is required");
  }
  change.etag = rollout.etag();
  change.validate_only = request.validate_only();
  return change;
}

}  // namespace seer
