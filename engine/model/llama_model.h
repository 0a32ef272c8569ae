// The forward pass of a Llama over a ragged batch.
#ifndef SEER_ENGINE_MODEL_LLAMA_MODEL_H_
#define SEER_ENGINE_MODEL_LLAMA_MODEL_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/device/device.h"
#include "engine/device/transfer_buffer.h"
#include "engine/model/batch/batch_layout.h"
#include "engine/model/layer_pass/layer_pass.h"
#include "engine/model/step/forward_args.h"
#include "engine/model/step/launched_step.h"
#include "engine/token.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "kernels/dtype.h"
#include "kernels/paged_kv.h"
#include "kernels/rope.h"

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

  // Enqueues the step that computes the rows and writes their keys, values and
  // pools to the cache. Norms round as Hugging Face's do; residuals are in the
  // model's dtype. Logits come in row blocks, so that a prompt's are never held
  // whole; a step that gives any to the host is waited for.
  //
  // While the device works on a step, one more can be launched behind it, if
  // the model is asynchronous; it can take tokens that the first one draws.
  // Steps are finished in the order of their launch.
  //
  // INVALID_ARGUMENT: a sequence out of its limits. RESOURCE_EXHAUSTED: no
  // memory for a step so large; another may fit. INTERNAL: an operator or the
  // device failed. After an error no step can take what the last one drew; but
  // for INVALID_ARGUMENT the device is then done with all it was given, and the
  // cache's pages of these sequences are undefined.
  absl::StatusOr<LaunchedStep> Launch(const ForwardArgs& args);

  // Launches the step and finishes it.
  absl::StatusOr<ForwardReport> Forward(const ForwardArgs& args);

  // A dense pass of `tokens`, >= 1 of the vocabulary and within the context,
  // layer by layer: layer_pass.h. The keys of the layer at hand are written to
  // `pages` of `kv`, which is on the model's device: one a block, all
  // different, nobody else's while the pass lasts. What is not on the device is
  // copied; the model outlives the pass.
  // INVALID_ARGUMENT: a token or a page out of its limits. RESOURCE_EXHAUSTED:
  // no memory for the residual stream.
  absl::StatusOr<std::unique_ptr<LayerPass>> BeginLayerPass(
      absl::Span<const TokenId> tokens, const PagedKv& kv,
      absl::Span<const int32_t> pages);

  // On the device, of every position of the context.
  RopeTable rope() const;

  const ModelConfig& config() const { return config_; }
  DType dtype() const { return dtype_; }
  // Whether the device works beside the host, in memory of its own. Draws and
  // scores are then cheaper to ask for than logits, which take a copy, and
  // elsewhere dearer.
  bool is_asynchronous() const { return !device_->shares_host_memory(); }
  // Whether draws, and scores of so many alternatives, should be asked for: the
  // model is asynchronous and its device has kernels for them.
  bool DrawsTokens(int32_t num_top) const;
  int64_t weight_bytes() const;
  // Steps so far that were replayed.
  int64_t num_replays() const;

  // An upper estimate of what a step of `num_rows` rows of `num_sequences`
  // takes of the device's memory beside weights, cache and gates.
  int64_t StepBytes(int64_t num_rows, int64_t num_sequences) const;

  // What such a step may take beside that where policies may name oracles.
  int64_t OracleBytes() const;

  // The same of a layer pass of `num_tokens` in ranges of up to `num_tiles`
  // tiles with all that can be wanted, beside its pages and what steps take
  // anyway.
  int64_t LayerPassBytes(int64_t num_tokens, int64_t num_tiles) const;

 private:
  LlamaModel(const ModelConfig& config, DType dtype, Device* device);
  static absl::StatusOr<std::unique_ptr<LlamaModel>> Make(
      const ModelConfig& config, WeightSource& source, DType dtype,
      Device* device, const LlamaModelOptions& options);
  ModelParts Parts();
  absl::StatusOr<LaunchedStep::Work> Enqueue(const ForwardArgs& args,
                                             BatchLayout layout,
                                             DeviceClock* clock);

  const ModelConfig config_;
  const DType dtype_;
  Device* const device_;
  std::unique_ptr<ModelTensors> tensors_;
  // Each for two steps in turn.
  TransferBuffer inputs_;
  TransferBuffer results_;
  std::array<std::unique_ptr<DeviceClock>, 2> clocks_;
  int turn_ = 0;
  // LaunchedStep's, of the last launch.
  std::vector<std::vector<int32_t>> drawn_places_;
  std::unique_ptr<Decoder> decoder_;  // null: every step is a ForwardPass
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_LLAMA_MODEL_H_
