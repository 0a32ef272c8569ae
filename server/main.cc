// seerserve: serves a Llama with block-sparse attention over gRPC.
//
// Every flag is defined and read here, once. Exit codes: see server/serve.h.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "engine/llama_engine.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "google/protobuf/stubs/logging.h"
#include "server/admin/admin_server.h"
#include "server/catalog/catalog_options.h"
#include "server/grpc/grpc_log.h"
#include "server/metrics/metrics.h"
#include "server/quality_guard/quality_guard.h"
#include "server/serve.h"
#include "server/termination_signals.h"

using seer::CatalogOptions;
using seer::CompletionService;
using seer::GateAdminService;
using seer::GrpcServer;
using seer::LlamaEngineOptions;
using seer::QualityGuardOptions;
using seer::RequestLimits;
using seer::ServeOptions;

// The model.
ABSL_FLAG(std::string, model, "",
          "Required. Folder of the model, as Hugging Face lays it out: "
          "config.json, *.safetensors, tokenizer.json.");
ABSL_FLAG(
    std::string, model_id, "",
    "The model's name to clients: models/ID. 1 to 63 of [a-z0-9-]. Empty: "
    "made from the folder's name. What --state_dir keeps hangs on it.");
ABSL_FLAG(std::string, dtype, LlamaEngineOptions().dtype,
          "What to compute in: bfloat16 or float32.");
ABSL_FLAG(std::string, load_format, LlamaEngineOptions().load_format,
          "safetensors, or dummy: random weights from config.json alone, for "
          "speed runs; tokenizer.json is still read.");
ABSL_FLAG(std::string, device, "auto",
          "What to compute on: cpu, cuda (the first GPU), cuda:N, or auto: the "
          "first GPU where this build and machine have one, else the CPU.");
ABSL_FLAG(int32_t, num_threads, 0,
          "Threads of the processor that compute, [0, 1024]. 0: one for each "
          "processor.");
ABSL_FLAG(int64_t, kv_cache_mib, 1024,
          "On the CPU, memory for keys and values, MiB, at least 1. Bounds the "
          "tokens of all running requests together.");
ABSL_FLAG(double, kv_memory_fraction, LlamaEngineOptions().kv_memory_fraction,
          "On a GPU, the share for keys and values of the memory that is free "
          "beside the weights, (0, 1).");
ABSL_FLAG(
    bool, replay_decode_steps, LlamaEngineOptions().replay_decode_steps,
    "On a GPU, record steps without prompt tokens once a shape and replay "
    "them. Off, each is enqueued anew, which is slower.");
ABSL_FLAG(std::string, gate_set, "",
          "File of the gate set that requests use unless they name another, as "
          "long as the rollout in --state_dir has no stable one. Empty: none, "
          "and without a stable one requests are dense unless they ask for "
          "mean_pool.");
ABSL_FLAG(int32_t, gate_slots, LlamaEngineOptions().gate_slots,
          "Gate sets that can be loaded at once beside mean_pool, [0, 64]; one "
          "that was removed counts while requests use it. On a GPU memory is "
          "set aside for all. 3: the stable one, a canary and one to come.");
ABSL_FLAG(double, default_target_sparsity, 0.0,
          "Share of blocks not read by requests without a policy, [0, 1). "
          "Above 0 it needs --gate_set, or --state_dir: they are dense while "
          "no gate set is stable.");
ABSL_FLAG(int64_t, dense_fallback_tokens, 0,
          "Prompts of fewer tokens are read densely, at least 0: selecting "
          "costs more than it saves there.");
ABSL_FLAG(double, dense_fallback_density, 1.0,
          "Budgets that leave at least this share of blocks are read densely, "
          "(0, 1]: selecting costs more than it saves there.");
ABSL_FLAG(bool, dense_fallback_for_target_sparsity, false,
          "Whether --dense_fallback_tokens and --dense_fallback_density hold "
          "for an explicit target_sparsity too, which is otherwise served to "
          "the letter.");

ABSL_FLAG(bool, allow_oracle_gates, false,
          "Whether policies may name ORACLE_MAX and ORACLE_MASS, which rank "
          "blocks by the true attention: for comparison with gates, at more "
          "than the cost of dense attention.");

// The quality guard. Each default's reason stands in
// server/quality_guard/quality_guard.h.
ABSL_FLAG(double, quality_guard_fraction, QualityGuardOptions().fraction,
          "Share of the sparse requests, [0, 1], that are prefilled again "
          "densely when nobody waits, to measure how far the two are apart: "
          "seer_quality_guard_kl_nats. 0: none.");
ABSL_FLAG(int64_t, quality_guard_max_prompt_tokens,
          QualityGuardOptions().max_prompt_tokens,
          "Longer prompts are not prefilled again, [1, 2^20].");

// The engine's limits.
ABSL_FLAG(int64_t, max_step_tokens, 0,
          "Rows of one forward pass, which memory is set aside for. 0: 1024 on "
          "the CPU, 8192 on a GPU.");
ABSL_FLAG(int32_t, step_ms, 0,
          "Milliseconds that a forward pass is to take: prompt chunks are cut "
          "to it, as far as past steps tell. More: faster prefill; fewer: "
          "running streams and cancels wait for less. 0: 500 on the CPU, 50 on "
          "a GPU.");
ABSL_FLAG(int64_t, max_running, LlamaEngineOptions().scheduler.max_running,
          "Sequences computed at once, at least 1; a request counts once for "
          "each of its choices.");
ABSL_FLAG(int64_t, fixed_chunk_tokens, 0,
          "Size of every prompt chunk but the last, a multiple of 64: makes a "
          "request that runs alone reproducible. 0: as large as fits.");
ABSL_FLAG(int64_t, max_waiting_requests,
          LlamaEngineOptions().admission.max_waiting_requests,
          "Requests that may wait; more are RESOURCE_EXHAUSTED at once instead "
          "of late.");
ABSL_FLAG(int64_t, max_backlog_tokens,
          LlamaEngineOptions().admission.max_backlog_tokens,
          "Prompt tokens that may wait; requests beyond are "
          "RESOURCE_EXHAUSTED at once instead of late.");
ABSL_FLAG(int32_t, slow_reader_seconds, 30,
          "A stream whose client takes nothing for so long is ended, at least "
          "1: it would hold pages for nobody.");

// Addresses.
ABSL_FLAG(std::string, host, "127.0.0.1",
          "Address of this machine to serve gRPC on.");
ABSL_FLAG(int32_t, port, 8470, "Port of gRPC, [0, 65535]. 0: any free one.");
ABSL_FLAG(std::string, http_host, "127.0.0.1",
          "Address for /metrics, /healthz and /readyz, which are plain HTTP.");
ABSL_FLAG(int32_t, http_port, 8471,
          "Port of HTTP, [0, 65535]. 0: any free one.");
ABSL_FLAG(std::string, port_file, "",
          "File to write the gRPC port to, once it is served, and to remove at "
          "the end.");
ABSL_FLAG(std::string, http_port_file, "",
          "File to write the HTTP port to, once it is served, and to remove at "
          "the end.");
ABSL_FLAG(
    std::string, admin_host, "127.0.0.1",
    "Address of this machine to be administered on, with --state_dir. Any "
    "but loopback needs --admin_token_file.");
ABSL_FLAG(int32_t, admin_port, 8472,
          "Port of GateAdminService, with --state_dir, [0, 65535]. 0: any free "
          "one. TLS is that of the other port.");
ABSL_FLAG(
    std::string, admin_port_file, "",
    "File to write the admin port to, once it is served, and to remove at "
    "the end.");
ABSL_FLAG(std::string, admin_token_file, "",
          "File of the token that administration needs, as \"authorization: "
          "Bearer TOKEN\": 16 to 4096 printable characters. Empty: none.");
ABSL_FLAG(std::vector<std::string>, admin_methods, {},
          "Methods of GateAdminService that may be called, by their names in "
          "gate_admin.proto. Empty: all.");
ABSL_FLAG(bool, allow_insecure_non_loopback, false,
          "Serve gRPC to other machines without TLS: only where something else "
          "protects the connections.");
ABSL_FLAG(std::string, tls_certificate_file, "",
          "PEM file of the server's certificate chain. Empty: no TLS.");
ABSL_FLAG(std::string, tls_private_key_file, "",
          "PEM file of the certificate's key.");
ABSL_FLAG(std::string, tls_client_ca_file, "",
          "PEM file of authorities. Where given, clients need a certificate "
          "that one of these signed.");

// Durable state. Each default's reason stands in
// server/catalog/catalog_options.h.
ABSL_FLAG(
    std::string, state_dir, "",
    "Folder of what is uploaded, calibrated and rolled out; made where it "
    "is missing. Empty: none of that, and no admin port.");
ABSL_FLAG(int64_t, max_state_mib, CatalogOptions().max_total_bytes >> 20,
          "MiB of all that --state_dir keeps; uploads beyond are refused. What "
          "a calibration job takes while it runs, 4 bytes a token of its "
          "dataset, is not counted.");
ABSL_FLAG(int64_t, max_upload_mib, CatalogOptions().max_upload_bytes >> 20,
          "MiB of one upload.");
ABSL_FLAG(int64_t, max_open_uploads, CatalogOptions().max_open_uploads,
          "Uploads that are not finalized, [1, 1000000].");
ABSL_FLAG(int64_t, max_datasets, CatalogOptions().max_datasets,
          "Datasets, [1, 1000000].");
ABSL_FLAG(int64_t, max_gate_sets, CatalogOptions().max_gate_sets,
          "Gate sets, [1, 1000000].");
ABSL_FLAG(int64_t, max_unfinished_jobs, CatalogOptions().max_unfinished_jobs,
          "Calibration jobs that have not ended, [1, 1000000].");
ABSL_FLAG(absl::Duration, upload_lifetime, CatalogOptions().upload_lifetime,
          "Uploads that nothing was written to for so long are deleted, at "
          "least 1s.");
ABSL_FLAG(int32_t, max_admin_calls, GateAdminService::Options().max_calls,
          "Calls of administration at once, [1, 4096]; each may hold a MiB. "
          "As many watches of jobs may be beside them, and a few calls that "
          "roll back or cancel.");

// Limits of connections. Each default's reason stands in
// server/grpc/grpc_server.h.
ABSL_FLAG(int32_t, max_receive_bytes, GrpcServer::Options().max_receive_bytes,
          "Bytes of one request, [1024, 2^30].");
ABSL_FLAG(int32_t, max_concurrent_streams,
          GrpcServer::Options().max_concurrent_streams,
          "Streams of one connection, at least 1.");
ABSL_FLAG(int32_t, max_metadata_bytes, GrpcServer::Options().max_metadata_bytes,
          "Bytes of a request's headers, at least 1024.");
ABSL_FLAG(int64_t, grpc_memory_mib,
          GrpcServer::Options().memory_quota_bytes >> 20,
          "Memory that gRPC may hold for all connections, MiB.");
ABSL_FLAG(absl::Duration, keepalive_time, GrpcServer::Options().keepalive_time,
          "Between pings that find dead clients, at least 1s.");
ABSL_FLAG(absl::Duration, keepalive_timeout,
          GrpcServer::Options().keepalive_timeout,
          "Without an answer to a ping, until the client counts as dead.");
ABSL_FLAG(absl::Duration, min_ping_interval,
          GrpcServer::Options().min_ping_interval,
          "Clients that ping more often are disconnected.");
ABSL_FLAG(absl::Duration, max_connection_age,
          GrpcServer::Options().max_connection_age,
          "Until a connection takes no new streams, so that load spreads.");
ABSL_FLAG(absl::Duration, max_connection_age_grace,
          GrpcServer::Options().max_connection_age_grace,
          "For the streams of an aged connection.");

// Limits of requests. Each default's reason stands in
// server/codec/request_limits.h.
ABSL_FLAG(int32_t, max_n, RequestLimits().max_n, "Choices, [1, 128].");
ABSL_FLAG(int32_t, max_stop_strings, RequestLimits().max_stop_strings,
          "Stop strings, [0, 1024].");
ABSL_FLAG(int32_t, max_stop_string_bytes, RequestLimits().max_stop_string_bytes,
          "Bytes of each stop string, [1, 65536].");
ABSL_FLAG(int32_t, max_stop_token_ids, RequestLimits().max_stop_token_ids,
          "Stop token ids, [0, 65536].");
ABSL_FLAG(int32_t, max_logit_bias, RequestLimits().max_logit_bias,
          "Entries of logit_bias, [0, 1048576].");
ABSL_FLAG(int32_t, max_logprobs, RequestLimits().max_logprobs,
          "Alternatives for each token, [0, 1024].");
ABSL_FLAG(int32_t, max_chat_messages, RequestLimits().max_chat_messages,
          "Messages of a conversation, at least 1.");
ABSL_FLAG(int64_t, max_unary_response_bytes,
          RequestLimits().max_unary_response_bytes,
          "Bytes of a unary reply: what clients take.");
ABSL_FLAG(int32_t, default_max_tokens, RequestLimits().default_max_tokens,
          "New tokens of requests that do not say, at least 1.");
ABSL_FLAG(int32_t, num_tokenizer_threads,
          CompletionService::Options().num_tokenizer_threads,
          "Threads that read long texts, [1, 64].");
ABSL_FLAG(int32_t, max_waiting_texts,
          CompletionService::Options().max_waiting_texts,
          "Long texts that may wait for --num_tokenizer_threads, [1, 4096].");

// The life of the process.
ABSL_FLAG(int32_t, drain_seconds, 30,
          "After SIGTERM or SIGINT, for running requests to end, [0, 86400]. A "
          "second signal ends the process at once.");
ABSL_FLAG(
    absl::Duration, max_step, absl::Seconds(120),
    "A step that takes longer hangs: liveness turns off until it ends, and "
    "a drain gives it up. Far above any real step of the machine.");
ABSL_FLAG(std::string, log_level, "info", "debug, info, warning or error.");

namespace seer {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read ", path));
  }
  return text.str();
}

// "SmolLM2-135M" of "/models/SmolLM2-135M/", as an id.
std::string IdFromFolder(std::string folder) {
  while (!folder.empty() && folder.back() == '/') folder.pop_back();
  std::string id;
  for (const char c : folder.substr(folder.rfind('/') + 1)) {
    const unsigned char byte = static_cast<unsigned char>(c);
    id += byte < 128 && std::isalnum(byte) ? std::tolower(byte) : '-';
  }
  return id.substr(0, 63);
}

// What would overflow stays out of every range.
int64_t BytesOfMib(int64_t mib) {
  constexpr int64_t kTooMany = int64_t{1} << 42;
  return std::clamp(mib, int64_t{-1}, kTooMany) * (int64_t{1} << 20);
}

// Of flags whose options have other names or units.
absl::Status CheckFlags() {
  if (absl::GetFlag(FLAGS_model).empty()) {
    return absl::InvalidArgumentError("--model is required");
  }
  const auto in_range = [](absl::string_view flag, int64_t value, int64_t low,
                           int64_t high) {
    if (value >= low && value <= high) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " must be in [", low, ", ", high, "], is ", value));
  };
  SEER_RETURN_IF_ERROR(
      in_range("--num_threads", absl::GetFlag(FLAGS_num_threads), 0, 1024));
  SEER_RETURN_IF_ERROR(in_range("--kv_cache_mib",
                                absl::GetFlag(FLAGS_kv_cache_mib), 1, 1 << 26));
  return in_range("--grpc_memory_mib", absl::GetFlag(FLAGS_grpc_memory_mib), 1,
                  1 << 20);
}

// Of requests without one.
SparsityPolicy DefaultPolicy() {
  SparsityPolicy policy;
  const double sparsity = absl::GetFlag(FLAGS_default_target_sparsity);
  if (sparsity > 0.0) {
    policy.budget.kind = BudgetKind::kTargetSparsity;
    policy.budget.target_sparsity = sparsity;
  }
  return policy;
}

LlamaEngineOptions EngineOptions() {
  LlamaEngineOptions options;
  options.model_dir = absl::GetFlag(FLAGS_model);
  options.model_id = absl::GetFlag(FLAGS_model_id).empty()
                         ? IdFromFolder(options.model_dir)
                         : absl::GetFlag(FLAGS_model_id);
  options.dtype = absl::GetFlag(FLAGS_dtype);
  options.num_threads = absl::GetFlag(FLAGS_num_threads);
  if (options.num_threads == 0) {
    options.num_threads =
        std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  options.load_format = absl::GetFlag(FLAGS_load_format);
  options.device = absl::GetFlag(FLAGS_device);
  options.kv_cache_bytes = BytesOfMib(absl::GetFlag(FLAGS_kv_cache_mib));
  options.kv_memory_fraction = absl::GetFlag(FLAGS_kv_memory_fraction);
  options.replay_decode_steps = absl::GetFlag(FLAGS_replay_decode_steps);
  options.gate_set_file = absl::GetFlag(FLAGS_gate_set);
  options.gate_slots = absl::GetFlag(FLAGS_gate_slots);
  options.policy.default_policy = DefaultPolicy();
  options.policy.allow_oracle_gates = absl::GetFlag(FLAGS_allow_oracle_gates);
  auto& fallback = options.policy.dense_fallback;
  fallback.short_prompt_tokens = absl::GetFlag(FLAGS_dense_fallback_tokens);
  fallback.near_dense_density = absl::GetFlag(FLAGS_dense_fallback_density);
  fallback.for_target_sparsity =
      absl::GetFlag(FLAGS_dense_fallback_for_target_sparsity);
  options.scheduler = SchedulerOptionsFor(options.device);
  if (const int64_t rows = absl::GetFlag(FLAGS_max_step_tokens); rows != 0) {
    options.scheduler.max_step_tokens = rows;
  }
  if (const int32_t step_ms = absl::GetFlag(FLAGS_step_ms); step_ms != 0) {
    options.scheduler.step_time = absl::Milliseconds(step_ms);
  }
  options.scheduler.max_running = absl::GetFlag(FLAGS_max_running);
  if (const int64_t chunk = absl::GetFlag(FLAGS_fixed_chunk_tokens);
      chunk != 0) {
    options.scheduler.fixed_chunk_tokens = chunk;
  }
  options.admission.max_waiting_requests =
      absl::GetFlag(FLAGS_max_waiting_requests);
  options.admission.max_backlog_tokens =
      absl::GetFlag(FLAGS_max_backlog_tokens);
  options.slow_reader_timeout =
      absl::Seconds(absl::GetFlag(FLAGS_slow_reader_seconds));
  options.max_step = absl::GetFlag(FLAGS_max_step);
  return options;
}

RequestLimits Limits() {
  RequestLimits limits;
  limits.max_n = absl::GetFlag(FLAGS_max_n);
  limits.max_stop_strings = absl::GetFlag(FLAGS_max_stop_strings);
  limits.max_stop_string_bytes = absl::GetFlag(FLAGS_max_stop_string_bytes);
  limits.max_stop_token_ids = absl::GetFlag(FLAGS_max_stop_token_ids);
  limits.max_logit_bias = absl::GetFlag(FLAGS_max_logit_bias);
  limits.max_logprobs = absl::GetFlag(FLAGS_max_logprobs);
  limits.max_chat_messages = absl::GetFlag(FLAGS_max_chat_messages);
  limits.max_receive_bytes = absl::GetFlag(FLAGS_max_receive_bytes);
  limits.max_unary_response_bytes =
      absl::GetFlag(FLAGS_max_unary_response_bytes);
  limits.default_max_tokens = absl::GetFlag(FLAGS_default_max_tokens);
  return limits;
}

absl::StatusOr<CompletionService::Options> ServiceOptions() {
  CompletionService::Options options;
  options.limits = Limits();
  const double sparsity = absl::GetFlag(FLAGS_default_target_sparsity);
  if (!(sparsity >= 0.0 && sparsity < 1.0)) {
    return absl::InvalidArgumentError(
        "--default_target_sparsity must be in [0, 1)");
  }
  if (sparsity > 0.0) {
    if (absl::GetFlag(FLAGS_gate_set).empty() &&
        absl::GetFlag(FLAGS_state_dir).empty()) {
      return absl::InvalidArgumentError(
          "--default_target_sparsity needs --gate_set or --state_dir");
    }
  }
  options.default_policy = DefaultPolicy();
  options.num_tokenizer_threads = absl::GetFlag(FLAGS_num_tokenizer_threads);
  options.max_waiting_texts = absl::GetFlag(FLAGS_max_waiting_texts);
  // Behind the engine's own limit, which tells the client why.
  options.max_write_stall =
      2 * absl::Seconds(absl::GetFlag(FLAGS_slow_reader_seconds));
  options.server_version = kVersion;
  return options;
}

absl::StatusOr<GrpcServer::Options> GrpcOptions() {
  GrpcServer::Options options;
  options.address = {absl::GetFlag(FLAGS_host), absl::GetFlag(FLAGS_port)};
  SEER_ASSIGN_OR_RETURN(options.tls.certificate_chain,
                        ReadFile(absl::GetFlag(FLAGS_tls_certificate_file)));
  SEER_ASSIGN_OR_RETURN(options.tls.private_key,
                        ReadFile(absl::GetFlag(FLAGS_tls_private_key_file)));
  SEER_ASSIGN_OR_RETURN(options.tls.client_ca,
                        ReadFile(absl::GetFlag(FLAGS_tls_client_ca_file)));
  options.allow_insecure_non_loopback =
      absl::GetFlag(FLAGS_allow_insecure_non_loopback);
  options.max_receive_bytes = absl::GetFlag(FLAGS_max_receive_bytes);
  options.max_concurrent_streams = absl::GetFlag(FLAGS_max_concurrent_streams);
  options.max_metadata_bytes = absl::GetFlag(FLAGS_max_metadata_bytes);
  options.memory_quota_bytes = BytesOfMib(absl::GetFlag(FLAGS_grpc_memory_mib));
  options.keepalive_time = absl::GetFlag(FLAGS_keepalive_time);
  options.keepalive_timeout = absl::GetFlag(FLAGS_keepalive_timeout);
  options.min_ping_interval = absl::GetFlag(FLAGS_min_ping_interval);
  options.max_connection_age = absl::GetFlag(FLAGS_max_connection_age);
  options.max_connection_age_grace =
      absl::GetFlag(FLAGS_max_connection_age_grace);
  return options;
}

// A line's end is no part of a token.
absl::StatusOr<std::string> ReadToken(const std::string& path) {
  SEER_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::string token(absl::StripTrailingAsciiWhitespace(text));
  if (token.empty() && !path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " holds no token"));
  }
  return token;
}

CatalogOptions StateOptions() {
  CatalogOptions options;
  options.folder = absl::GetFlag(FLAGS_state_dir);
  options.max_total_bytes = BytesOfMib(absl::GetFlag(FLAGS_max_state_mib));
  options.max_upload_bytes = BytesOfMib(absl::GetFlag(FLAGS_max_upload_mib));
  options.max_open_uploads = absl::GetFlag(FLAGS_max_open_uploads);
  options.max_datasets = absl::GetFlag(FLAGS_max_datasets);
  options.max_gate_sets = absl::GetFlag(FLAGS_max_gate_sets);
  options.max_unfinished_jobs = absl::GetFlag(FLAGS_max_unfinished_jobs);
  options.upload_lifetime = absl::GetFlag(FLAGS_upload_lifetime);
  return options;
}

// `grpc` is of the other port.
absl::StatusOr<std::optional<AdminServer::Options>> AdminOptions(
    const GrpcServer::Options& grpc) {
  // A chunk of an upload, and what is around it.
  constexpr int kMaxReceiveBytes = 2 << 20;
  if (absl::GetFlag(FLAGS_state_dir).empty()) {
    if (absl::GetFlag(FLAGS_admin_token_file).empty() &&
        absl::GetFlag(FLAGS_admin_port_file).empty() &&
        absl::GetFlag(FLAGS_admin_methods).empty()) {
      return std::nullopt;
    }
    return absl::InvalidArgumentError("--admin_... needs --state_dir");
  }
  AdminServer::Options options;
  options.catalog = StateOptions();
  options.jobs.folder = options.catalog.folder;
  SEER_ASSIGN_OR_RETURN(options.service.access.token,
                        ReadToken(absl::GetFlag(FLAGS_admin_token_file)));
  const auto methods = absl::GetFlag(FLAGS_admin_methods);
  options.service.access.methods = {methods.begin(), methods.end()};
  options.service.max_calls = absl::GetFlag(FLAGS_max_admin_calls);
  options.grpc = grpc;
  options.grpc.address = {absl::GetFlag(FLAGS_admin_host),
                          absl::GetFlag(FLAGS_admin_port)};
  options.grpc.max_receive_bytes = kMaxReceiveBytes;
  return options;
}

absl::StatusOr<ServeOptions> ReadServeOptions() {
  ServeOptions options;
  SEER_ASSIGN_OR_RETURN(options.service, ServiceOptions());
  SEER_ASSIGN_OR_RETURN(options.grpc, GrpcOptions());
  options.http = {absl::GetFlag(FLAGS_http_host),
                  absl::GetFlag(FLAGS_http_port)};
  options.watchdog.max_step = absl::GetFlag(FLAGS_max_step);
  options.guard.fraction = absl::GetFlag(FLAGS_quality_guard_fraction);
  options.guard.max_prompt_tokens =
      absl::GetFlag(FLAGS_quality_guard_max_prompt_tokens);
  options.drain = absl::Seconds(absl::GetFlag(FLAGS_drain_seconds));
  options.port_file = absl::GetFlag(FLAGS_port_file);
  options.http_port_file = absl::GetFlag(FLAGS_http_port_file);
  options.admin_port_file = absl::GetFlag(FLAGS_admin_port_file);
  SEER_ASSIGN_OR_RETURN(options.admin, AdminOptions(options.grpc));
  SEER_RETURN_IF_ERROR(options.Validate());
  return options;
}

absl::Status SetLogging() {
  const auto level = ParseLogLevel(absl::GetFlag(FLAGS_log_level));
  if (!level) {
    return absl::InvalidArgumentError(
        "--log_level must be debug, info, warning or error");
  }
  SetLogLevel(*level);
  RouteGrpcLogs();
  // Said of requests that are refused anyway.
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int,
         const std::string& message) { Log(LogLevel::kDebug, message); });
  return absl::OkStatus();
}

ExitCode Fail(ExitCode code, absl::string_view what,
              const absl::Status& status) {
  Log(LogLevel::kError, what, {{"error", status.ToString()}});
  return code;
}

ExitCode Run() {
  if (absl::Status status = SetLogging(); !status.ok()) {
    return Fail(kExitBadFlags, "bad flags", status);
  }
  const absl::StatusOr<ServeOptions> options = ReadServeOptions();
  const LlamaEngineOptions engine_options = EngineOptions();
  absl::Status flags = CheckFlags();
  flags.Update(options.status());
  flags.Update(engine_options.Validate());
  if (!flags.ok()) return Fail(kExitBadFlags, "bad flags", flags);

  TerminationSignals signals;
  auto tokenizer = Tokenizer::Load(engine_options.model_dir);
  if (!tokenizer.ok()) {
    return Fail(kExitNoModel, "cannot load the tokenizer", tokenizer.status());
  }
  const auto chat_template = ChatTemplate::Make(tokenizer->get());
  if (!chat_template.ok()) {
    Log(LogLevel::kWarning, "chat prompts will be refused",
        {{"reason", chat_template.status().message()}});
  }
  Metrics metrics(engine_options.model_id, kVersion);
  auto engine = LlamaEngine::Create(engine_options, tokenizer->get(), &metrics);
  if (!engine.ok()) {
    return Fail(kExitNoModel, "cannot load the model", engine.status());
  }
  Served served;
  served.engine = engine->get();
  served.tokenizer = tokenizer->get();
  served.chat_template = chat_template.ok() ? &*chat_template : nullptr;
  served.metrics = &metrics;
  served.gates = &(*engine)->gates();
  served.calibrator = &(*engine)->calibrator();
  served.gate_set_file = engine_options.gate_set_file;
  const ExitCode code = Serve(served, *options, signals);
  if (code == kExitHangs) std::_Exit(code);  // nothing more can be destroyed
  return code;
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  // --help lists what this file defines; Abseil looks for the program's name.
  absl::FlagsUsageConfig usage;
  usage.contains_help_flags = [](absl::string_view file) {
    return absl::EndsWith(file, "server/main.cc");
  };
  usage.version_string = [] {
    return absl::StrCat("seerserve ", seer::kVersion, "\n");
  };
  absl::SetFlagsUsageConfig(usage);
  absl::SetProgramUsageMessage(
      "Serves a Llama with block-sparse attention over gRPC.\n"
      "  seerserve --model=FOLDER [flags]");
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    std::fprintf(stderr, "seerserve: unexpected argument %s\n", rest[1]);
    return seer::kExitBadFlags;
  }
  return seer::Run();
}
