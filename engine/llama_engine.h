// The engine over a Llama, on this machine's processor or one GPU.
//
//   SEER_ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::Load(options.model_dir));
//   SEER_ASSIGN_OR_RETURN(auto engine,
//                         LlamaEngine::Create(options, tokenizer.get(),
//                         &seen));
#ifndef SEER_ENGINE_LLAMA_ENGINE_H_
#define SEER_ENGINE_LLAMA_ENGINE_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/calibrator.h"
#include "engine/engine.h"
#include "engine/gate_control.h"
#include "engine/llama_engine_options.h"
#include "engine/tokenizer/tokenizer.h"

namespace seer {

// One thread steps the model; Submit and the rest only hand over.
class LlamaEngine : public Engine {
 public:
  // Loads the model, and the gate set if one is named; starts the thread, and
  // returns when it has run a GPU's first steps (llama_engine/warm_up.h).
  // `tokenizer` must outlive the engine, `observer` too (null: none).
  // INVALID_ARGUMENT, FAILED_PRECONDITION, NOT_FOUND, UNIMPLEMENTED: options,
  // device, model or gate set are not usable; the file and field are named.
  // RESOURCE_EXHAUSTED: not enough memory, or a KV cache of less than a page.
  // To be called before any other operator of ATen runs, if it may be a GPU.
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

  // Lives as long as the engine.
  GateControl& gates();
  // Lives as long as the engine; runs may outlive it.
  Calibrator& calibrator();

 private:
  struct Rooms;  // everything behind the interface

  explicit LlamaEngine(std::unique_ptr<Rooms> rooms);

  const std::unique_ptr<Rooms> rooms_;
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_H_
