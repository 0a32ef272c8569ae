#include "engine/llama_engine_options.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/device/open_device.h"

namespace seer {

absl::Status LlamaEngineOptions::Validate() const {
  const bool is_id =
      std::all_of(model_id.begin(), model_id.end(), [](unsigned char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
      });
  if (!is_id || model_id.empty() || model_id.size() > 63) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model_id must be 1 to 63 of [a-z0-9-], is \"", model_id, "\""));
  }
  if (dtype != "bfloat16" && dtype != "float32") {
    return absl::InvalidArgumentError(
        absl::StrCat("dtype must be bfloat16 or float32, is ", dtype));
  }
  if (load_format != "safetensors" && load_format != "dummy") {
    return absl::InvalidArgumentError(absl::StrCat(
        "load_format must be safetensors or dummy, is ", load_format));
  }
  SEER_RETURN_IF_ERROR(CheckDeviceName(device));
  if (!(kv_memory_fraction > 0.0 && kv_memory_fraction < 1.0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "kv_memory_fraction must be in (0, 1), is ", kv_memory_fraction));
  }
  if (num_threads < 1 || num_threads > 1024) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_threads must be 1 to 1024, is ", num_threads));
  }
  constexpr int64_t kMostBytes = int64_t{1} << 46;
  if (kv_cache_bytes < 1 || kv_cache_bytes > kMostBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "kv_cache_bytes must be 1 to ", kMostBytes, ", is ", kv_cache_bytes));
  }
  const int32_t fewest_slots = gate_set_file.empty() ? 0 : 1;
  if (gate_slots < fewest_slots || gate_slots > 64) {
    return absl::InvalidArgumentError(absl::StrCat(
        "gate_slots must be ", fewest_slots, " to 64, is ", gate_slots));
  }
  if (max_step < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError("max_step must be at least 1ms");
  }
  if (slow_reader_timeout < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(
        "slow_reader_timeout must be at least a millisecond");
  }
  if (event_stream.capacity_bytes < 1 || event_stream.max_delta_tokens < 1) {
    return absl::InvalidArgumentError("event_stream limits must be at least 1");
  }
  SEER_RETURN_IF_ERROR(policy.Validate());
  SEER_RETURN_IF_ERROR(scheduler.Validate());
  return admission.Validate();
}

SchedulerOptions SchedulerOptionsFor(absl::string_view device) {
  SchedulerOptions options;
  const bool on_gpu =
      device == "auto" ? CheckDevice("cuda").ok() : device != "cpu";
  options.max_step_tokens = on_gpu ? 8192 : 1024;
  options.step_time = on_gpu ? absl::Milliseconds(50) : absl::Milliseconds(500);
  return options;
}

}  // namespace seer
