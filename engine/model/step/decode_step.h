// The device's work of one row a sequence, on tensors that are made once.
#ifndef SEER_ENGINE_MODEL_STEP_DECODE_STEP_H_
#define SEER_ENGINE_MODEL_STEP_DECODE_STEP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/device/device.h"
#include "engine/model/batch/step_inputs.h"
#include "engine/model/layer/row_ops.h"
#include "engine/model/parts/model_parts.h"
#include "kernels/device.h"
#include "kernels/paged_kv.h"

namespace seer {

// What lies between the operators of a step of up to `max_rows` rows, in the
// model's dtype.
struct DecodeTensors {
  // Throws what ATen throws.
  static DecodeTensors Make(const ModelParts& model, int64_t max_rows);

  at::Tensor x;          // [max_rows, H], the residual
  at::Tensor normed;     // [max_rows, H]
  at::Tensor qkv;        // [max_rows, (Hq + 2 Hk) * D]
  at::Tensor queries;    // [max_rows, Hq * D]
  at::Tensor attention;  // [max_rows, Hq * D]
  at::Tensor hidden;     // [max_rows, H]
  at::Tensor gate_up;    // [max_rows, 2 I]
  at::Tensor active;     // [max_rows, I]
  at::Tensor logits;     // [max_rows, V]
};

// All that a step's kernels are given: pointers, shapes and bounds, no
// contents. The same step enqueued again reads what is then in the inputs'
// buffer. What it points to is borrowed.
class DecodeStep {
 public:
  struct Init {
    StepInputs inputs;
    std::vector<PagedKv> layers;
    DeviceStream stream;  // with attention's workspace
    // [inputs.num_draws], out; before, what the step before drew.
    int32_t* drawn = nullptr;
  };
  DecodeStep(const ModelParts& model, const DecodeTensors& tensors, Init init);

  // Fills the first rows of DecodeTensors::logits, and draws tokens by them.
  // On a GPU nothing is allocated or waited for once the same shape has run
  // before. `clock`, which gets each layer's LayerPoints, may be null. Throws
  // what ATen throws.
  absl::Status Enqueue(DeviceClock* clock) const;

 private:
  absl::Status RunAttention(int32_t layer, DeviceClock* clock) const;
  absl::Status RunLayer(int32_t layer, DeviceClock* clock) const;
  absl::Status Draw() const;

  const ModelParts model_;
  const Init init_;
  const RowOps rows_;
  const DecodeTensors tensors_;  // of as many rows as the step has
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_STEP_DECODE_STEP_H_
