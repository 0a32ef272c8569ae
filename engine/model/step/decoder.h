// Steps of generated rows only, recorded once a shape and then replayed.
#ifndef SEER_ENGINE_MODEL_STEP_DECODER_H_
#define SEER_ENGINE_MODEL_STEP_DECODER_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/device/device.h"
#include "engine/model/batch/batch_layout.h"
#include "engine/model/parts/model_parts.h"
#include "engine/model/step/decode_step.h"
#include "engine/model/step/forward_args.h"
#include "engine/model/step/launched_step.h"
#include "engine/model/step/step_results.h"

namespace seer {

// Enqueueing a step's hundreds of operators one by one takes the host longer
// than small steps take a GPU. All are the same from step to step but for what
// the buffers hold, if the shape is: so rows are rounded up to a few numbers,
// and what bounds attention to powers of two. A row's results do not depend on
// whether its step was replayed.
class Decoder {
 public:
  static constexpr int32_t kMaxRows = 256;

  // What a step of `num_rows`, 1..kMaxRows, is rounded up to: on a GPU a power
  // of two; elsewhere, where no kernel takes a tile without rows, itself.
  static int32_t RowsOf(Backend backend, int32_t num_rows);

  // Whether Launch can do it: one generated row a sequence, at most kMaxRows,
  // no more than a draw each, and no score or trace.
  static bool Takes(const ForwardArgs& args);

  // Allocates its tensors; throws what ATen throws. `replays` false: every step
  // is enqueued anew.
  Decoder(const ModelParts& model, bool replays);

  // As LlamaModel::Launch, with points on `clock`. Throws what ATen throws. The
  // report of a replayed step has no times: its kernels are not apart.
  // UNIMPLEMENTED: a shape that has no kernel for this; `layout` is as it was.
  absl::StatusOr<LaunchedStep::Work> Launch(const ForwardArgs& args,
                                            BatchLayout& layout,
                                            DeviceClock* clock);

  int64_t num_replays() const { return num_replays_; }

 private:
  // Rows, and the bound of attention's blocks.
  using Shape = std::pair<int32_t, int32_t>;
  // What a recording has in it beside its shape.
  using Places = std::array<const void*, 7>;

  absl::StatusOr<StepInputs> Send(const ForwardArgs& args,
                                  const BatchLayout& layout,
                                  StepResults& results);
  DecodeStep MakeStep(const StepInputs& inputs, const KvCache& cache,
                      const StepResults& results);
  // Whether it was replayed.
  absl::StatusOr<bool> Enqueue(const DecodeStep& step, const Shape& shape,
                               const Places& places, DeviceClock* clock);
  absl::Status Fetch(const ForwardArgs& args, const BatchLayout& layout,
                     const StepInputs& inputs, StepResults& results);

  const ModelParts model_;
  const DecodeTensors tensors_;
  at::Tensor workspace_;  // of attention, bytes; grows
  bool replays_;
  int64_t num_replays_ = 0;
  Places places_ = {};  // of all recordings
  // Null: ran once, so that libraries have what they need.
  std::map<Shape, std::unique_ptr<DeviceGraph>> graphs_;
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_STEP_DECODER_H_
