// Joins a row's results over disjoint parts of its keys.
#ifndef SEER_KERNELS_ATTENTION_CPU_MERGE_PARTS_H_
#define SEER_KERNELS_ATTENTION_CPU_MERGE_PARTS_H_

#include <cstdint>

#include "kernels/dtype.h"

namespace seer {

// A row's results by part, each as if the part's keys were all.
struct PartialRows {
  const float* outs = nullptr;          // part p at p * row_stride * head_dim
  const float* log_sum_exps = nullptr;  // part p at p * row_stride; finite
  int32_t num_parts = 0;                // >= 1
  int64_t row_stride = 0;               // rows between a row's parts
  int32_t head_dim = 0;                 // <= kMaxHeadDim
};

// out [head_dim] of `dtype` = sum over parts of exp(lse_p - lse) * out_p, with
// lse = log of the sum of exp(lse_p), stored if log_sum_exp is not null.
void MergeParts(const PartialRows& parts, DType dtype, void* out,
                float* log_sum_exp);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CPU_MERGE_PARTS_H_
