#include "kernels/attention/cuda/tensor_maps.h"

#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace cuda {
namespace {

constexpr cuuint32_t kBoxChannels = 64;
constexpr int kMaxRank = 3;

// A bfloat16 tensor and the box that one copy takes of it, innermost dimension
// first; dense.
struct Boxes {
  const void* address = nullptr;
  int rank = 0;
  cuuint64_t dims[kMaxRank];
  cuuint32_t box[kMaxRank];
};

// The driver is found at run time: a program that has this code starts without
// one too.
absl::Status FindEncoder(PFN_cuTensorMapEncodeTiled_v12000* encode) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result;
  const cudaError_t error = cudaGetDriverEntryPointByVersion(
      "cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
  if (error != cudaSuccess || result != cudaDriverEntryPointSuccess) {
    return absl::UnavailableError(
        absl::StrCat("no CUDA driver that encodes tensor maps: ",
                     cudaGetErrorString(error)));
  }
  *encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(found);
  return absl::OkStatus();
}

absl::Status Encode(const Boxes& boxes, CUtensorMap* map) {
  PFN_cuTensorMapEncodeTiled_v12000 encode = nullptr;
  SEER_RETURN_IF_ERROR(FindEncoder(&encode));
  cuuint64_t strides[kMaxRank - 1];  // bytes, of all but the innermost
  cuuint64_t stride = 2;
  for (int i = 0; i + 1 < boxes.rank; ++i) {
    stride *= boxes.dims[i];
    strides[i] = stride;
  }
  const cuuint32_t element_strides[kMaxRank] = {1, 1, 1};
  const CUresult result =
      encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, boxes.rank,
             const_cast<void*>(boxes.address), boxes.dims, strides, boxes.box,
             element_strides, CU_TENSOR_MAP_INTERLEAVE_NONE,
             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result == CUDA_SUCCESS) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the CUDA driver refuses a tensor map, error ", int{result}));
}

}  // namespace

absl::Status EncodePrefillMaps(const void* queries, int64_t num_rows,
                               int32_t num_query_heads, const PagedKv& kv,
                               PrefillMaps* maps) {
  const int64_t num_keys = kv.num_pages * 2 * kv.num_kv_heads * kBlockSize;
  if (num_keys > INT32_MAX) {
    return absl::UnimplementedError(
        absl::StrCat("attention: ", num_keys, " keys of all pages and heads"));
  }
  Boxes query_boxes;
  query_boxes.address = queries;
  query_boxes.rank = 3;
  query_boxes.dims[0] = kv.head_dim;
  query_boxes.dims[1] = num_query_heads;
  query_boxes.dims[2] = num_rows;
  query_boxes.box[0] = kBoxChannels;
  query_boxes.box[1] = 1;
  query_boxes.box[2] = kBlockSize;
  SEER_RETURN_IF_ERROR(Encode(query_boxes, &maps->queries));
  Boxes page_boxes;
  page_boxes.address = kv.pages;
  page_boxes.rank = 2;
  page_boxes.dims[0] = kv.head_dim;
  page_boxes.dims[1] = num_keys;
  page_boxes.box[0] = kBoxChannels;
  page_boxes.box[1] = kBlockSize;
  return Encode(page_boxes, &maps->pages);
}

}  // namespace cuda
}  // namespace seer
