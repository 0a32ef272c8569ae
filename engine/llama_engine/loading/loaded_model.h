// A model on its device, ready to be stepped.
#ifndef SEER_ENGINE_LLAMA_ENGINE_LOADING_LOADED_MODEL_H_
#define SEER_ENGINE_LLAMA_ENGINE_LOADING_LOADED_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/device/device.h"
#include "engine/gate/gate_set.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/llama_engine/gates/gate_slots.h"
#include "engine/llama_engine_options.h"
#include "engine/model/aten/aten_executor.h"
#include "engine/model/llama_model.h"
#include "engine/weights/model_config.h"

namespace seer {

// In order of construction: what is borrowed comes first. Movable.
struct LoadedModel {
  std::unique_ptr<AtenExecutor> executor;
  std::unique_ptr<Device> device;
  std::unique_ptr<LlamaModel> model;
  GateSetTarget gate_target;  // its fingerprint is the weights'; of random
                              // ones, their own
  std::unique_ptr<GateSlots> gates;
  KvCache cache;
  int64_t step_bytes = 0;  // set aside for steps; 0: not counted
};

// Opens the device, loads weights and gate set, and shares out the memory; the
// log says how. `options` must be valid, and `config` that of its model_dir.
// Errors are those of LlamaEngine::Create.
absl::StatusOr<LoadedModel> LoadModel(const LlamaEngineOptions& options,
                                      const ModelConfig& config);

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_LOADING_LOADED_MODEL_H_
