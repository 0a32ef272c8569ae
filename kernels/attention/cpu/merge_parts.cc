#include "kernels/attention/cpu/merge_parts.h"

#include <algorithm>
#include <cmath>

#include "kernels/paged_kv.h"

namespace seer {

void MergeParts(const PartialRows& parts, DType dtype, void* out,
                float* log_sum_exp) {
  float largest = parts.log_sum_exps[0];
  for (int32_t p = 1; p < parts.num_parts; ++p) {
    largest = std::max(largest, parts.log_sum_exps[p * parts.row_stride]);
  }
  float sum = 0.0f;
  float merged[kMaxHeadDim] = {};
  for (int32_t p = 0; p < parts.num_parts; ++p) {
    const int64_t row = p * parts.row_stride;
    const float weight = std::exp(parts.log_sum_exps[row] - largest);
    const float* part = parts.outs + row * parts.head_dim;
    sum += weight;
    for (int32_t d = 0; d < parts.head_dim; ++d) merged[d] += weight * part[d];
  }
  const float inverse = 1.0f / sum;
  for (int32_t d = 0; d < parts.head_dim; ++d) {
    const float value = merged[d] * inverse;
    if (dtype == DType::kFloat32) {
      static_cast<float*>(out)[d] = value;
    } else {
      static_cast<BFloat16*>(out)[d] = BFloat16(value);
    }
  }
  if (log_sum_exp != nullptr) *log_sum_exp = largest + std::log(sum);
}

}  // namespace seer
