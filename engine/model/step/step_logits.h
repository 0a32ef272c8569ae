// Rows of logits on their way to who asked for them.
#ifndef SEER_ENGINE_MODEL_STEP_STEP_LOGITS_H_
#define SEER_ENGINE_MODEL_STEP_STEP_LOGITS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "engine/model/batch/batch_layout.h"
#include "engine/model/step/forward_args.h"
#include "engine/model/step/step_results.h"

namespace seer {

// Of the layout's logits_rows(), those that are held at once: no more than
// there are, at least one if there are any.
int64_t LogitsRowsAtOnce(const BatchLayout& layout, int64_t vocab_size);

// Hands rows [first, first + count) of logits_rows(), which Fetch has brought,
// to on_logits.
absl::Status GiveLogits(const ForwardArgs& args, const BatchLayout& layout,
                        const StepResults& results, int64_t first,
                        int64_t count);

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_STEP_STEP_LOGITS_H_
