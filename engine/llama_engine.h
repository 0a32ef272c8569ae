// The engine over a Llama on this machine's processor.
//
//   SEER_ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::Load(options.model_dir));
//   SEER_ASSIGN_OR_RETURN(auto engine,
//                         LlamaEngine::Create(options, tokenizer.get(),
//                         &seen));
#ifndef SEER_ENGINE_LLAMA_ENGINE_H_
#define SEER_ENGINE_LLAMA_ENGINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/event_stream/event_stream.h"
#include "engine/gate/policy/policy_resolver.h"
#include "engine/scheduler/admission.h"
#include "engine/scheduler/scheduler.h"
#include "engine/tokenizer/tokenizer.h"

namespace seer {

struct LlamaEngineOptions {
  std::string model_dir;             // a Hugging Face folder
  std::string model_id;              // as in models/{model}; [a-z0-9-]{1,63}
  std::string dtype = "bfloat16";    // or "float32"
  int num_threads = 1;               // >= 1
  int64_t kv_cache_bytes = 1 << 30;  // raw pools included
  std::string gate_set_file;         // the stable gate set; empty: none
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

// One thread steps the model; Submit and the rest only hand over.
class LlamaEngine : public Engine {
 public:
  // Loads the model, and the gate set if one is named; starts the thread.
  // `tokenizer` must outlive the engine, `observer` too (null: none).
  // INVALID_ARGUMENT, FAILED_PRECONDITION, NOT_FOUND, UNIMPLEMENTED: options,
  // model or gate set are not usable; the file and field are named.
  // RESOURCE_EXHAUSTED: not enough memory, or a KV cache of less than a page.
  static absl::StatusOr<std::unique_ptr<LlamaEngine>> Create(
      const LlamaEngineOptions& options, const Tokenizer* tokenizer,
      EngineObserver* observer);

  // Ends what still runs with UNAVAILABLE, once the running step has ended.
  // Streams may outlive the engine.
  ~LlamaEngine() override;

  absl::StatusOr<std::unique_ptr<TokenStream>> Submit(
      GenerationRequest request) override;
  const ModelInfo& model() const override;
  std::vector<GateSetInfo> gate_sets() const override;
  EngineStats Stats() const override;
  absl::Status Drain(absl::Time deadline) override;

 private:
  struct Rooms;  // everything behind the interface

  explicit LlamaEngine(std::unique_ptr<Rooms> rooms);

  const std::unique_ptr<Rooms> rooms_;
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_H_
