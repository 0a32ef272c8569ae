#include "client/output/admin/resource_json.h"

#include "client/output/admin/resource_words.h"
#include "client/output/words.h"

namespace seer {
namespace {

Json TimeJson(bool set, const google::protobuf::Timestamp& time) {
  return set ? Json(TimeText(time)) : Json();
}

Json FailureJson(bool set, const v1::Failure& failure) {
  if (!set) return Json();
  return {{"reason", failure.reason()}, {"message", failure.message()}};
}

Json LayerJson(const v1::LayerQuality& layer) {
  Json recalls = Json::array();
  for (const v1::DensityRecall& recall : layer.recalls()) {
    recalls.push_back({{"density", recall.density()},
                       {"mass_recall", recall.mass_recall()},
                       {"block_recall", recall.block_recall()},
                       {"realized_density", recall.realized_density()},
                       {"oracle_mass_recall", recall.oracle_mass_recall()}});
  }
  return {{"loss", layer.loss()}, {"recalls", std::move(recalls)}};
}

Json ProgressJson(const v1::CalibrationProgress& progress) {
  return {{"phase", Word(progress.phase())},
          {"step", progress.step()},
          {"steps", progress.steps()},
          {"layer_losses", progress.layer_losses()},
          {"layer_validation_losses", progress.layer_validation_losses()},
          {"tokens_per_second", progress.tokens_per_second()},
          {"eta_seconds",
           progress.has_eta() ? Json(Seconds(progress.eta())) : Json()},
          {"checkpoint_step", progress.checkpoint_step()}};
}

Json ProvenanceJson(const v1::GateProvenance& provenance) {
  return {{"target", Word(provenance.target())},
          {"loss", Word(provenance.loss())},
          {"dataset_sha256", provenance.dataset_sha256()},
          {"dataset_tokens", provenance.dataset_tokens()},
          {"steps", provenance.steps()},
          {"seed", provenance.seed()},
          {"tool_version", provenance.tool_version()}};
}

template <typename Value>
Json OrNull(bool set, Value value) {
  return set ? Json(value) : Json();
}

}  // namespace

Json DatasetJson(const v1::Dataset& dataset) {
  return {
      {"name", dataset.name()},
      {"display_name", dataset.display_name()},
      {"format", Word(dataset.format())},
      {"size", dataset.size()},
      {"sha256", dataset.sha256()},
      {"num_documents", dataset.num_documents()},
      {"num_tokens", OrNull(dataset.has_num_tokens(), dataset.num_tokens())},
      {"create_time",
       TimeJson(dataset.has_create_time(), dataset.create_time())},
      {"damage", FailureJson(dataset.has_damage(), dataset.damage())}};
}

Json CalibrationJobJson(const v1::CalibrationJob& job) {
  return {
      {"name", job.name()},
      {"display_name", job.display_name()},
      {"model", job.model()},
      {"dataset", job.dataset()},
      {"design", job.design()},
      {"target", Word(job.target())},
      {"loss", Word(job.loss())},
      {"steps", OrNull(job.has_steps(), job.steps())},
      {"warmup_steps", OrNull(job.has_warmup_steps(), job.warmup_steps())},
      {"tokens_per_step",
       OrNull(job.has_tokens_per_step(), job.tokens_per_step())},
      {"sequence_length",
       OrNull(job.has_sequence_length(), job.sequence_length())},
      {"learning_rate", OrNull(job.has_learning_rate(), job.learning_rate())},
      {"seed", OrNull(job.has_seed(), job.seed())},
      {"device_share", OrNull(job.has_device_share(), job.device_share())},
      {"validation_fraction",
       OrNull(job.has_validation_fraction(), job.validation_fraction())},
      {"state", Word(job.state())},
      {"progress", job.has_progress() ? ProgressJson(job.progress()) : Json()},
      {"quality", job.has_quality() ? QualityJson(job.quality()) : Json()},
      {"gate_set", job.gate_set()},
      {"failure", FailureJson(job.has_failure(), job.failure())},
      {"create_time", TimeJson(job.has_create_time(), job.create_time())},
      {"start_time", TimeJson(job.has_start_time(), job.start_time())},
      {"end_time", TimeJson(job.has_end_time(), job.end_time())}};
}

Json QualityJson(const v1::GateQuality& quality) {
  Json layers = Json::array();
  for (const v1::LayerQuality& layer : quality.layers()) {
    layers.push_back(LayerJson(layer));
  }
  Json perplexities = Json::array();
  for (const v1::DensityPerplexity& entry : quality.perplexities()) {
    perplexities.push_back(
        {{"density", entry.density()}, {"perplexity", entry.perplexity()}});
  }
  return {{"dense_perplexity", quality.dense_perplexity()},
          {"perplexities", std::move(perplexities)},
          {"layers", std::move(layers)},
          {"num_tokens", quality.num_tokens()}};
}

Json GateSetJson(const v1::GateSet& gate_set) {
  Json labels = Json::array();
  for (const int label : gate_set.labels()) {
    labels.push_back(Word(static_cast<v1::GateLabel>(label)));
  }
  return {{"name", gate_set.name()},
          {"display_name", gate_set.display_name()},
          {"design", gate_set.design()},
          {"sha256", gate_set.sha256()},
          {"size", gate_set.size()},
          {"fingerprint", gate_set.fingerprint()},
          {"has_profile", gate_set.has_profile()},
          {"source", gate_set.source()},
          {"provenance", ProvenanceJson(gate_set.provenance())},
          {"quality",
           gate_set.has_quality() ? QualityJson(gate_set.quality()) : Json()},
          {"labels", std::move(labels)},
          {"create_time",
           TimeJson(gate_set.has_create_time(), gate_set.create_time())},
          {"damage", FailureJson(gate_set.has_damage(), gate_set.damage())}};
}

Json ValidationJson(const v1::ValidateGateSetResponse& validation) {
  return {
      {"valid", validation.valid()},
      {"problem", FailureJson(validation.has_problem(), validation.problem())}};
}

Json RolloutJson(const v1::GateRollout& rollout) {
  return {{"name", rollout.name()},
          {"stable", rollout.stable()},
          {"canary", rollout.canary()},
          {"canary_fraction", rollout.canary_fraction()},
          {"previous", rollout.previous()},
          {"etag", rollout.etag()},
          {"update_time",
           TimeJson(rollout.has_update_time(), rollout.update_time())}};
}

Json RevisionJson(const v1::GateRolloutRevision& revision) {
  Json json = RolloutJson(revision.gate_rollout());
  json["cause"] = Word(revision.cause());
  json["message"] = revision.message();
  return json;
}

}  // namespace seer
