// The engine as its callers see it: submit a request, read its events.
// Thread-safe. Knows nothing of gRPC, protobuf or Prometheus.
//
//   auto stream = engine.Submit(std::move(request));
//   if (!stream.ok()) return stream.status();
//   (*stream)->OnReady([&] { wake.Notify(); });
//   for (Event event; (*stream)->TryNext(&event);) { ... }
#ifndef SEER_ENGINE_ENGINE_H_
#define SEER_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/request.h"
#include "engine/token.h"

namespace seer {

// One request's events. One bounded queue: the engine pushes, the reader polls
// when told. Destroying the stream cancels the request; its pages are free
// within one step and what is done in the background behind it.
class TokenStream {
 public:
  virtual ~TokenStream() = default;

  // False: nothing yet, or ended (the last event was given; see IsLast).
  // Never blocks. One reader at a time.
  virtual bool TryNext(Event* event) = 0;

  // `ready` is called after an event arrives in an empty queue, and once at
  // registration if there is one already; from the engine's delivery thread or
  // the caller's. It must not block; it may call TryNext, but must not destroy
  // the stream, whose destructor waits for it: after the destructor returns it
  // is not running and will not run. At most one registration.
  virtual void OnReady(std::function<void()> ready) = 0;
};

// What is fixed while the engine lives.
struct ModelInfo {
  std::string model_id;
  std::string fingerprint;  // SHA-256, hex, of the base model
  int64_t context_len = 0;  // tokens, prompt and output together
  int32_t vocab_size = 0;
  int32_t num_layers = 0;
  int32_t num_query_heads = 0;
  int32_t num_kv_heads = 0;
  int32_t head_dim = 0;
  std::string dtype;             // "float32" or "bfloat16"
  std::string device;            // "cpu", or "cuda:0" with the GPU's number
  std::vector<TokenId> end_ids;  // that end a text; ascending
  // Whether requests and gate sets may rank blocks by the true attention.
  bool allow_oracle_gates = false;
};

// A gate set that requests can name.
struct GateSetInfo {
  std::string name;     // models/{model}/gateSets/{id}, or "mean_pool"
  std::string design;   // e.g. Qavg_Kmaxminavg, mean_pool
  std::string version;  // SHA-256, hex, of the file; "" for built-in
  bool has_profile = false;
  bool stable = false;  // what GateChoice::kStable means now
  bool canary = false;  // likewise kCanary; never both
};

// A snapshot for load reports and metrics. Totals count from the start.
struct EngineStats {
  int64_t requests_running = 0;
  int64_t requests_waiting = 0;
  int64_t waiting_tokens = 0;  // prompt tokens not yet computed
  int64_t pages_total = 0;
  int64_t pages_used = 0;    // those that a calibration borrows among them
  int64_t pages_cached = 0;  // held by the prefix cache only
  absl::Duration predicted_queue_delay;
  absl::Time last_step_time;  // when the last step ended
  bool healthy = true;
  bool draining = false;
  // Memory of the device.
  int64_t weight_bytes = 0;
  int64_t kv_cache_bytes = 0;
  int64_t gate_bytes = 0;  // gate weights and entries, or set aside for them
  int64_t step_bytes = 0;  // set aside for steps; 0: not counted
  int64_t prompt_tokens_computed_total = 0;
  int64_t output_tokens_total = 0;
  // Per layer, over all requests.
  std::vector<LayerBlocks> blocks_total;
  absl::Duration gate_time_total;  // scoring and selection
};

enum class StepKind { kPrefill, kDecode, kMixed };

// One step, reported after it ran.
struct StepReport {
  StepKind kind = StepKind::kDecode;
  int64_t prompt_tokens = 0;
  int64_t decode_rows = 0;
  // From its planning, or from the end of the step before where that came
  // later, until its tokens were delivered.
  absl::Duration duration;
  absl::Duration scheduler_time;  // choosing slices and pages
  // The device's, from the step before it if that still ran; on the CPU with
  // what the host does of it, sampling among that.
  absl::Duration compute_time;
  absl::Duration predicted_time;  // what compute_time was believed to become
  // Of compute_time; zero for steps that were replayed.
  absl::Duration prepare_time;    // RoPE, page writes and pooling
  absl::Duration gate_time;       // scoring and selection
  absl::Duration attention_time;  // attention itself
};

// Told of what happens inside, for metrics. Called on the engine's thread:
// must be quick and must not block or call the engine.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  virtual void OnStep(const StepReport& report) = 0;
  // Time from a cancel (or deadline) to its pages being free.
  virtual void OnCancelled(absl::Duration cancel_to_free) = 0;
  // A micro-step of a calibration took so long of the device; `beside_requests`
  // if these had work meanwhile.
  virtual void OnMicroStep(absl::Duration /*duration*/,
                           bool /*beside_requests*/) {}
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Never blocks.
  // INVALID_ARGUMENT: can never run (empty prompt, id out of range, prompt +
  //   max_tokens over the context or the whole KV cache).
  // FAILED_PRECONDITION, NOT_FOUND: the policy names a gate that is not there.
  // RESOURCE_EXHAUSTED: the queue or the token backlog is full.
  // DEADLINE_EXCEEDED: its deadline has passed.
  // UNAVAILABLE: draining. INTERNAL: the engine is unhealthy.
  virtual absl::StatusOr<std::unique_ptr<TokenStream>> Submit(
      GenerationRequest request) = 0;

  virtual const ModelInfo& model() const = 0;
  virtual std::vector<GateSetInfo> gate_sets() const = 0;
  virtual EngineStats Stats() const = 0;

  // New requests are UNAVAILABLE from now on; returns when the running and
  // waiting ones have ended, or, at `deadline`, ends them with UNAVAILABLE and
  // returns DEADLINE_EXCEEDED. INTERNAL: long after the deadline the engine
  // has not ended them; do not destroy it, that would wait for ever.
  virtual absl::Status Drain(absl::Time deadline) = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_ENGINE_H_
