// A gate with its weights and entries, run over PagedSequences.
#ifndef SEER_TESTS_TESTING_KERNELS_CASES_SCORED_GATE_H_
#define SEER_TESTS_TESTING_KERNELS_CASES_SCORED_GATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "kernels/gate_score/gate_score.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {

// A gate as GateLayer describes it; weights as the dtype stores them.
struct GateWeights {
  bool mean_pool = false;
  PoolSet query_pools;
  PoolSet key_pools;
  std::vector<float> linear_q;  // empty: single linear, or mean_pool
  std::vector<float> linear_k;  // empty: mean_pool

  bool is_double() const { return !linear_q.empty(); }
};

GateWeights MeanPoolGate();

// Normal weights, scaled so that logits stay near 1.
GateWeights RandomGate(const HeadShape& shape, DType dtype, PoolSet query_pools,
                       PoolSet key_pools, bool is_double, uint64_t seed);

// mean_pool, a single-linear and a double-linear gate.
std::vector<GateWeights> GatesOfEveryKind(const HeadShape& shape, DType dtype,
                                          uint64_t seed);

// The seven non-empty subsets of pools.
std::vector<PoolSet> AllPoolSets();

// "Qavg_Kmaxmin".
std::string DesignName(PoolSet query_pools, PoolSet key_pools);

// A gate's weights and its key entries, beside the pages of `sequences`, which
// outlive it.
class ScoredGate {
 public:
  ScoredGate(PagedSequences* sequences, const GateWeights& weights);

  // Scores every prompt tile of the step, or those of `tiles`. The result is
  // [num_prompt_tiles, Hq, row_len]; what the kernel does not write is NaN.
  std::vector<float> Score(Backend backend, const PreparedStep& step,
                           DeviceStream stream = {});
  std::vector<float> Score(Backend backend, const PreparedStep& step,
                           const std::vector<int32_t>& tiles,
                           DeviceStream stream = {});

  // The arguments of Score, for tests that change them.
  GateScoreArgs Args(const PreparedStep& step,
                     const std::vector<int32_t>& tiles, float* logits);
  static int32_t RowLen(const PreparedStep& step) {
    return step.batch.max_visible_blocks();
  }

 private:
  PagedSequences* sequences_;
  GateWeights weights_;
  TypedArray linear_q_, linear_k_, key_entries_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CASES_SCORED_GATE_H_
