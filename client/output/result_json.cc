#include "client/output/result_json.h"

#include <cstdint>

#include "client/connection/error_details.h"
#include "client/output/words.h"

namespace seer {
namespace {

// The bytes as numbers: a token may be a part of a UTF-8 sequence.
Json BytesJson(const std::string& bytes) {
  Json json = Json::array();
  for (const char byte : bytes) json.push_back(static_cast<uint8_t>(byte));
  return json;
}

Json TokenJson(const v1::TokenLogprob& token) {
  return {{"token_id", token.token_id()},
          {"token", token.token()},
          {"bytes", BytesJson(token.token())},
          {"logprob", token.logprob()}};
}

Json LogprobsJson(
    const google::protobuf::RepeatedPtrField<v1::LogprobEntry>& entries) {
  Json json = Json::array();
  for (const v1::LogprobEntry& entry : entries) {
    json.push_back(LogprobJson(entry));
  }
  return json;
}

}  // namespace

std::string ToText(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json PolicyJson(const v1::SparsityPolicy& policy) {
  Json json = Json::object();
  switch (policy.budget_case()) {
    case v1::SparsityPolicy::kDense:
    case v1::SparsityPolicy::BUDGET_NOT_SET:
      json["budget"] = "dense";
      break;
    case v1::SparsityPolicy::kTargetSparsity:
      json["budget"] = "target_sparsity";
      json["target_sparsity"] = policy.target_sparsity();
      break;
    case v1::SparsityPolicy::kTopKBlocks:
      json["budget"] = "top_k_blocks";
      json["top_k_blocks"] = policy.top_k_blocks();
      break;
    case v1::SparsityPolicy::kTokenBudget:
      json["budget"] = "token_budget";
      json["token_budget"] = policy.token_budget();
      break;
    case v1::SparsityPolicy::kThreshold:
      json["budget"] = "threshold";
      json["threshold"] = policy.threshold();
      break;
  }
  if (policy.gate_case() != v1::SparsityPolicy::GATE_NOT_SET) {
    json["gate"] = GateWord(policy);
  }
  if (policy.allocation() != v1::ALLOCATION_UNSPECIFIED) {
    json["allocation"] = Word(policy.allocation());
  }
  if (policy.has_sink_blocks()) json["sink_blocks"] = policy.sink_blocks();
  if (policy.has_dense_last_blocks()) {
    json["dense_last_blocks"] = policy.dense_last_blocks();
  }
  return json;
}

Json ReportJson(const v1::SparsityReport& report) {
  Json layers = Json::array();
  for (const v1::LayerSparsity& layer : report.layers()) {
    layers.push_back({{"blocks_visible", layer.blocks_visible()},
                      {"blocks_selected", layer.blocks_selected()}});
  }
  return {{"requested",
           report.has_requested() ? PolicyJson(report.requested()) : Json()},
          {"effective", PolicyJson(report.effective())},
          {"realized_sparsity", report.realized_sparsity()},
          {"blocks_visible", report.blocks_visible()},
          {"blocks_selected", report.blocks_selected()},
          {"tiles_computed", report.tiles_computed()},
          {"tiles_reused", report.tiles_reused()},
          {"gate", report.gate()},
          {"gate_version", report.gate_version()},
          {"closest_feasible", report.closest_feasible()},
          {"dense_fallback", Word(report.dense_fallback())},
          {"layers", std::move(layers)}};
}

Json TimingsJson(const v1::Timings& timings) {
  return {
      {"queue_seconds", Seconds(timings.queue())},
      {"prefill_seconds", Seconds(timings.prefill())},
      {"decode_seconds", Seconds(timings.decode())},
      {"time_to_first_token_seconds", Seconds(timings.time_to_first_token())}};
}

Json UsageJson(const v1::Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens()},
          {"cached_tokens", usage.cached_tokens()},
          {"output_tokens", usage.output_tokens()}};
}

Json LogprobJson(const v1::LogprobEntry& entry) {
  Json json = TokenJson(entry.token());
  json["rank"] = entry.rank();
  json["top"] = Json::array();
  for (const v1::TokenLogprob& token : entry.top()) {
    json["top"].push_back(TokenJson(token));
  }
  return json;
}

Json ChoiceJson(int index, const v1::Choice& choice) {
  Json json = {{"index", index},
               {"text", choice.text()},
               {"token_ids", choice.token_ids()},
               {"finish_reason", Word(choice.finish().reason())}};
  if (choice.finish().has_stop_string()) {
    json["stop_string"] = choice.finish().stop_string();
  }
  if (choice.finish().has_stop_token_id()) {
    json["stop_token_id"] = choice.finish().stop_token_id();
  }
  if (choice.logprobs_size() > 0) {
    json["logprobs"] = LogprobsJson(choice.logprobs());
  }
  return json;
}

Json ResultJson(const v1::CompleteResult& result) {
  Json json = {{"request_id", result.request_id()}, {"choices", Json::array()}};
  for (int i = 0; i < result.choices_size(); ++i) {
    json["choices"].push_back(ChoiceJson(i, result.choices(i)));
  }
  if (result.prompt_logprobs_size() > 0) {
    json["prompt_logprobs"] = LogprobsJson(result.prompt_logprobs());
  }
  const v1::Summary& summary = result.summary();
  json["usage"] = UsageJson(summary.usage());
  json["timings"] = TimingsJson(summary.timings());
  if (summary.usage().output_tokens() == 0) {
    json["timings"]["time_to_first_token_seconds"] = nullptr;
  }
  json["timings"]["output_tokens_per_second"] = TokensPerSecond(result);
  json["sparsity"] = ReportJson(summary.sparsity());
  json["seed"] = summary.seed();
  return json;
}

Json ModelJson(const v1::Model& model) {
  Json gate_sets = Json::array();
  for (const v1::GateSetSummary& gate_set : model.gate_sets()) {
    Json labels = Json::array();
    for (const int label : gate_set.labels()) {
      labels.push_back(Word(static_cast<v1::GateLabel>(label)));
    }
    gate_sets.push_back({{"name", gate_set.name()},
                         {"design", gate_set.design()},
                         {"version", gate_set.version()},
                         {"has_profile", gate_set.has_profile()},
                         {"labels", std::move(labels)}});
  }
  return {{"name", model.name()},
          {"fingerprint", model.fingerprint()},
          {"context_length", model.context_length()},
          {"vocabulary_size", model.vocabulary_size()},
          {"num_layers", model.num_layers()},
          {"num_query_heads", model.num_query_heads()},
          {"num_kv_heads", model.num_kv_heads()},
          {"head_dim", model.head_dim()},
          {"block_size", model.block_size()},
          {"dtype", model.dtype()},
          {"device", model.device()},
          {"has_chat_template", model.has_chat_template()},
          {"default_max_tokens", model.limits().default_max_tokens()},
          {"default_sparsity", PolicyJson(model.default_sparsity())},
          {"gate_sets", std::move(gate_sets)},
          {"server_version", model.server_version()}};
}

Json LoadJson(const v1::Load& load) {
  return {{"accepting", load.accepting()},
          {"requests_running", load.requests_running()},
          {"requests_waiting", load.requests_waiting()},
          {"tokens_waiting", load.tokens_waiting()},
          {"kv_pages_used", load.kv_pages_used()},
          {"kv_pages_total", load.kv_pages_total()},
          {"predicted_queue_delay_seconds",
           load.has_predicted_queue_delay()
               ? Json(Seconds(load.predicted_queue_delay()))
               : Json()}};
}

Json ErrorJson(const absl::Status& status) {
  const ErrorDetails details = DetailsOf(status);
  Json fields = Json::array();
  for (const ErrorDetails::Field& field : details.fields) {
    fields.push_back(
        {{"path", field.path}, {"description", field.description}});
  }
  return {{"error",
           {{"code", absl::StatusCodeToString(status.code())},
            {"message", std::string(status.message())},
            {"fields", std::move(fields)},
            {"reason", details.reason},
            {"metadata", details.metadata},
            {"resource", details.resource_name},
            {"retry_delay_seconds",
             details.retry_delay.has_value()
                 ? Json(absl::ToDoubleSeconds(*details.retry_delay))
                 : Json()},
            {"request_id", details.request_id}}}};
}

}  // namespace seer
