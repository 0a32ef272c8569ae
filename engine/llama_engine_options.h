// What an engine is made of and with.
#ifndef SEER_ENGINE_LLAMA_ENGINE_OPTIONS_H_
#define SEER_ENGINE_LLAMA_ENGINE_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/event_stream/event_stream.h"
#include "engine/gate/policy/policy_resolver.h"
#include "engine/scheduler/admission.h"
#include "engine/scheduler/scheduler.h"

namespace seer {

struct LlamaEngineOptions {
  std::string model_dir;           // a Hugging Face folder
  std::string model_id;            // as in models/{model}; [a-z0-9-]{1,63}
  std::string dtype = "bfloat16";  // or "float32"
  // "safetensors", or "dummy": random weights, for speed runs. Of model_dir
  // only config.json is then read.
  std::string load_format = "safetensors";
  std::string device = "cpu";  // or "auto", "cuda", "cuda:N"; see OpenDevice
  int num_threads = 1;         // of the processor; >= 1
  // Memory for pages, raw pools included: on the CPU bytes, on a GPU the share
  // of what is free beside the weights, (0, 1).
  int64_t kv_cache_bytes = 1 << 30;
  double kv_memory_fraction = 0.9;
  // On a GPU: LlamaModelOptions::replay_decode_steps.
  bool replay_decode_steps = true;
  std::string gate_set_file;  // the stable gate set at first; empty: none
  // Gate sets from files that can be there at once, beside mean_pool: a stable
  // one, a canary and one that is coming. On a GPU memory is set aside for all
  // of them (docs/design/gate_slots.md). 0..64; a gate_set_file takes one.
  int32_t gate_slots = 3;
  PolicyOptions policy;
  SchedulerOptions scheduler;
  AdmissionOptions admission;
  EventStreamOptions event_stream;
  // A reader that takes nothing for this long, with events waiting, is ended.
  absl::Duration slow_reader_timeout = absl::Seconds(30);
  // Far above any real step: Drain gives up a step that still runs so long
  // after its deadline.
  absl::Duration max_step = absl::Seconds(120);

  // INVALID_ARGUMENT: a value out of range, named.
  absl::Status Validate() const;
};

// Steps that suit a device, by LlamaEngineOptions::device: on a GPU many rows
// and a short time, on the CPU fewer rows and a longer one. To be called before
// any operator of ATen runs.
SchedulerOptions SchedulerOptionsFor(absl::string_view device);

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_OPTIONS_H_
