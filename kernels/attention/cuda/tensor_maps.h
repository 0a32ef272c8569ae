// The copy engine's descriptions of the tensors that prefill reads.
#ifndef SEER_KERNELS_ATTENTION_CUDA_TENSOR_MAPS_H_
#define SEER_KERNELS_ATTENTION_CUDA_TENSOR_MAPS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/attention/cuda/prefill.h"
#include "kernels/paged_kv.h"

namespace seer {
namespace cuda {

// Boxes of 64 rows (or keys) by 64 channels in the 128-byte swizzle: of
// queries [num_rows, num_query_heads, D], bfloat16, by (channel, head, row),
// rows past the last being zeros; and of the pages by (channel, key), the keys
// of all pages being numbered through.
// INVALID_ARGUMENT: an address that is not 16-byte aligned. UNIMPLEMENTED: more
// than 2^31 - 1 keys. UNAVAILABLE: no driver.
absl::Status EncodePrefillMaps(const void* queries, int64_t num_rows,
                               int32_t num_query_heads, const PagedKv& kv,
                               PrefillMaps* maps);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_TENSOR_MAPS_H_
