// The numbers in a weight's bytes.
#ifndef SEER_ENGINE_WEIGHTS_WEIGHT_VALUES_H_
#define SEER_ENGINE_WEIGHTS_WEIGHT_VALUES_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "engine/weights/weight_files.h"
#include "kernels/dtype.h"

namespace seer {

// The index of the first value that is infinite or not a number.
std::optional<int64_t> FirstNonFinite(const Weight& weight);

// Values [begin, begin + values.size()) as bf16, rounded to nearest even from
// f32, and from f16 by way of f32.
void ReadBFloat16(const Weight& weight, int64_t begin,
                  absl::Span<BFloat16> values);

}  // namespace seer

#endif  // SEER_ENGINE_WEIGHTS_WEIGHT_VALUES_H_
