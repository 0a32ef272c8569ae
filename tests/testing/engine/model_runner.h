// Sequences stepped through a model by hand: the engine's part for tests of
// the model.
#ifndef SEER_TESTS_TESTING_ENGINE_MODEL_RUNNER_H_
#define SEER_TESTS_TESTING_ENGINE_MODEL_RUNNER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/device/device.h"
#include "engine/gate/gate_set.h"
#include "engine/gate/gate_state.h"
#include "engine/gate/policy/selection_plan.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/model/aten/aten_executor.h"
#include "engine/model/llama_model.h"
#include "engine/token.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {

class ModelRunner {
 public:
  // A sequence with pages of its own, in random order.
  struct Sequence {
    std::vector<int32_t> tokens;  // prompt, then generated
    int64_t prompt_len = 0;
    SelectionPlan plan;
    std::shared_ptr<const GateSet> gate_set;  // null: dense
    std::vector<int32_t> pages;
    int64_t num_computed = 0;
    std::vector<float> logits;        // [num_computed, vocab_size]
    std::vector<LayerBlocks> blocks;  // [num_layers]
    // Where the device copies logits and steps are not traced: by the last row
    // of each step.
    std::vector<TokenId> drawn;
    // Of traced steps. Sets as attention read them: by (layer, tile, head), a
    // bit a block.
    std::map<std::vector<int32_t>, std::vector<bool>> sets;
    // What the gate gave, by the same; none for a dense sequence.
    std::map<std::vector<int32_t>, std::vector<float>> gate_logits;
    // Rows of queries, keys, values before RoPE, by layer.
    std::map<int32_t, TypedArray> qkv;
  };
  // Rows [num_computed, num_computed + num_rows) of a sequence.
  struct Slice {
    int32_t sequence = 0;
    int32_t num_rows = 0;
  };

  // Loads the model of `folder` with a cache of `num_pages` on a device of
  // OpenTestDevice.
  static absl::StatusOr<std::unique_ptr<ModelRunner>> Load(
      const std::string& folder, DType dtype, int64_t num_pages,
      const std::string& device = "cpu", int num_threads = 1,
      const LlamaModelOptions& options = {});

  // Steps are traced, unless told otherwise; the model has faster ways for some
  // steps that are not.
  void set_traces(bool traces) { traces_ = traces; }

  // `tokens` beyond `prompt_len` are rows to be generated. The budget applies
  // to the prompt; `gate_set` null: dense, or an oracle that `policy` names.
  int32_t Add(std::vector<int32_t> tokens, int64_t prompt_len,
              const EffectivePolicy& policy,
              std::shared_ptr<const GateSet> gate_set);

  // One forward pass.
  absl::Status Step(absl::Span<const Slice> slices);

  // The whole of a sequence, in steps of `chunk` prompt rows (a multiple of
  // 64), then one row a step.
  absl::Status RunAlone(int32_t sequence, int32_t chunk);

  const Sequence& sequence(int32_t i) const { return sequences_[i]; }
  LlamaModel& model() { return *model_; }
  Device& device() { return *device_; }
  const KvCache& cache() const { return cache_; }
  // Of the gates that steps have used.
  const std::map<const Gate*, GateState>& gates() const { return gates_; }
  GateShape gate_shape() const;

 private:
  ModelRunner();
  void Record(const LayerTrace& trace, absl::Span<const Slice> slices);
  const GateState& StateOf(const Gate* gate);

  std::unique_ptr<AtenExecutor> executor_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<LlamaModel> model_;
  KvCache cache_;
  std::vector<int32_t> free_pages_;
  std::vector<Sequence> sequences_;
  std::map<const Gate*, GateState> gates_;
  bool traces_ = true;
};

// The tokens of a traced sequence's prompt as one layer had them.
SequenceTokens RecordedPrompt(const GateShape& shape,
                              const ModelRunner::Sequence& sequence,
                              int32_t layer);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_MODEL_RUNNER_H_
