#include "server/flags/engine_flags.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "engine/sparsity_policy.h"
#include "server/flags/flag_values.h"
#include "server/option_range.h"

using seer::LlamaEngineOptions;

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

// Its limits.
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
ABSL_FLAG(
    absl::Duration, max_step, absl::Seconds(120),
    "A step that takes longer hangs: liveness turns off until it ends, and "
    "a drain gives it up. Far above any real step of the machine.");

namespace seer {
namespace {

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

// Of flags whose options have other names or units, or no range of their own.
absl::Status CheckFlags() {
  if (absl::GetFlag(FLAGS_model).empty()) {
    return absl::InvalidArgumentError("--model is required");
  }
  const double sparsity = absl::GetFlag(FLAGS_default_target_sparsity);
  if (!(sparsity >= 0.0 && sparsity < 1.0)) {
    return absl::InvalidArgumentError(
        "--default_target_sparsity must be in [0, 1)");
  }
  SEER_RETURN_IF_ERROR(
      InRange("--num_threads", absl::GetFlag(FLAGS_num_threads), 0, 1024));
  return InRange("--kv_cache_mib", absl::GetFlag(FLAGS_kv_cache_mib), 1,
                 1 << 26);
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

}  // namespace

absl::StatusOr<LlamaEngineOptions> ReadEngineFlags() {
  SEER_RETURN_IF_ERROR(CheckFlags());
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
  SEER_RETURN_IF_ERROR(options.Validate());
  return options;
}

}  // namespace seer
