// The forward pass of a Llama over a ragged batch.
#ifndef SEER_ENGINE_MODEL_LLAMA_MODEL_H_
#define SEER_ENGINE_MODEL_LLAMA_MODEL_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/device/device.h"
#include "engine/device/transfer_buffer.h"
#include "engine/model/forward_args.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "kernels/dtype.h"

namespace seer {

class Decoder;
struct ModelParts;
struct ModelTensors;
class WeightSource;

struct LlamaModelOptions {
  // Where the host does not share the device's memory: steps of generated rows
  // only are recorded, and replayed when their shape comes again. Results are
  // the same bit for bit.
  bool replay_decode_steps = true;
};

// Not thread-safe: one call at a time. On the CPU, on the thread whose ATen
// threads the device's executor uses.
class LlamaModel {
 public:
  // Weights and work are on `device`, borrowed for the model's life; on a GPU
  // each weight goes there as it is read.
  // INVALID_ARGUMENT: rope parameters out of range. RESOURCE_EXHAUSTED,
  // INTERNAL: the weights cannot be loaded.
  static absl::StatusOr<std::unique_ptr<LlamaModel>> Load(
      const ModelConfig& config, const WeightFiles& files, DType dtype,
      Device* device, const LlamaModelOptions& options = {});

  // The same with random weights, for speed runs: what is computed is finite
  // and means nothing. The seed gives the same weights again on a device of
  // the same kind.
  static absl::StatusOr<std::unique_ptr<LlamaModel>> MakeRandom(
      const ModelConfig& config, uint64_t seed, DType dtype, Device* device,
      const LlamaModelOptions& options = {});

  ~LlamaModel();
  LlamaModel(const LlamaModel&) = delete;
  LlamaModel& operator=(const LlamaModel&) = delete;

  // Computes the rows and writes their keys, values and pools to the cache;
  // returns when the device has done so. Norms round as Hugging Face's do;
  // residuals are in the model's dtype. Logits come in row blocks, so that a
  // prompt's are never held whole.
  // INVALID_ARGUMENT: a sequence out of its limits. RESOURCE_EXHAUSTED: no
  // memory for a step so large; another may fit. INTERNAL: an operator or the
  // device failed. After an error the cache's pages of these sequences are
  // undefined.
  absl::StatusOr<ForwardReport> Forward(const ForwardArgs& args);

  const ModelConfig& config() const { return config_; }
  DType dtype() const { return dtype_; }
  // Whether logits take a copy to reach the host: best tokens are then the
  // cheaper thing to ask for, and elsewhere the dearer.
  bool copies_logits() const { return !device_->shares_host_memory(); }
  int64_t weight_bytes() const;
  // Steps so far that were replayed.
  int64_t num_replays() const;

  // An upper estimate of what a step of `num_rows` rows of `num_sequences`
  // takes of the device's memory beside weights, cache and gates.
  int64_t StepBytes(int64_t num_rows, int64_t num_sequences) const;

 private:
  LlamaModel(const ModelConfig& config, DType dtype, Device* device);
  static absl::StatusOr<std::unique_ptr<LlamaModel>> Make(
      const ModelConfig& config, WeightSource& source, DType dtype,
      Device* device, const LlamaModelOptions& options);
  ModelParts Parts();

  const ModelConfig config_;
  const DType dtype_;
  Device* const device_;
  std::unique_ptr<ModelTensors> tensors_;
  TransferBuffer inputs_;
  TransferBuffer results_;
  const std::unique_ptr<DeviceClock> clock_;
  std::unique_ptr<Decoder> decoder_;  // null: every step is a ForwardPass
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_LLAMA_MODEL_H_
