// A model with random weights, a cache and a gate on a device: what runs for
// speed alone need.
#ifndef SEER_TESTS_BENCHMARKS_RANDOM_MODEL_H_
#define SEER_TESTS_BENCHMARKS_RANDOM_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/device/device.h"
#include "engine/gate/gate_set.h"
#include "engine/gate/gate_state.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/model/aten/aten_executor.h"
#include "engine/model/llama_model.h"

namespace seer {

// Where the time of some steps went.
struct StepTimes {
  absl::Duration total;  // of the host's clock
  ForwardReport parts;   // of the device's
  int64_t blocks_visible = 0;
  int64_t blocks_selected = 0;

  double RealizedSparsity() const {
    return blocks_visible == 0
               ? 0.0
               : 1.0 - static_cast<double>(blocks_selected) / blocks_visible;
  }
};

class RandomModel {
 public:
  struct Options {
    std::string config;          // path of a config.json
    std::string device = "cpu";  // a name of OpenDevice
    std::string dtype = "bfloat16";
    int num_threads = 1;    // of the CPU
    int64_t num_pages = 0;  // of the cache
    bool replay_decode_steps = true;
  };
  static absl::StatusOr<std::unique_ptr<RandomModel>> Make(
      const Options& options);

  // Computes a prompt of random tokens in steps of `chunk` rows, a multiple of
  // 64, to the logits of its last row. `target` is the target sparsity under
  // mean_pool; 0: dense.
  absl::StatusOr<StepTimes> Prefill(int64_t num_tokens, int64_t chunk,
                                    double target);

  // The host's time for a LayerPass of random tokens in ranges of `tiles`, to
  // the end of its work; with the max target or without targets.
  absl::StatusOr<absl::Duration> PassLayers(int64_t num_tokens, int64_t tiles,
                                            bool with_targets);

  // One step that generates a token for each of `batch` sequences with pages
  // of their own, `context_len` tokens in. What is cached does not matter.
  absl::StatusOr<StepTimes> Decode(int64_t batch, int64_t context_len);

  const LlamaModel& model() const { return *model_; }
  const KvCache& cache() const { return cache_; }
  const Device& device() const { return *device_; }

 private:
  RandomModel() = default;
  absl::Status Run(const std::vector<BatchSequence>& sequences,
                   StepTimes* times);

  std::unique_ptr<AtenExecutor> executor_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<LlamaModel> model_;
  KvCache cache_;
  std::shared_ptr<const GateSet> mean_pool_;
  GateState gate_;
  std::vector<int32_t> pages_;  // of the cache, in random order
};

}  // namespace seer

#endif  // SEER_TESTS_BENCHMARKS_RANDOM_MODEL_H_
