#include "kernels/qk_prepare/qk_prepare.h"

#include <cstdint>

#include "base/status_macros.h"
#include "kernels/argument_checks.h"
#include "kernels/qk_prepare/cpu/qk_prepare_cpu.h"
#include "kernels/qk_prepare/reference/qk_prepare_reference.h"
#ifdef SEER_CUDA
#include "kernels/qk_prepare/cuda/qk_prepare_cuda.h"
#endif

namespace seer {
namespace {

absl::Status CheckTensors(const QkPrepareArgs& args) {
  if (args.queries == nullptr || args.keys == nullptr ||
      args.values == nullptr || args.roped_queries == nullptr) {
    return absl::InvalidArgumentError("qk_prepare: a tensor is missing");
  }
  if (args.dtype != args.kv.dtype) {
    return absl::InvalidArgumentError("qk_prepare: kv has another dtype");
  }
  const int64_t query_width = int64_t{args.num_query_heads} * args.kv.head_dim;
  const int64_t key_width = int64_t{args.kv.num_kv_heads} * args.kv.head_dim;
  if (args.query_row_stride < query_width || args.key_row_stride < key_width ||
      args.value_row_stride < key_width) {
    return absl::InvalidArgumentError("qk_prepare: rows overlap their strides");
  }
  return absl::OkStatus();
}

absl::Status CheckShapes(const QkPrepareArgs& args) {
  SEER_RETURN_IF_ERROR(CheckPagedKv(args.kv));
  SEER_RETURN_IF_ERROR(CheckHeads(args.num_query_heads, args.kv.num_kv_heads));
  SEER_RETURN_IF_ERROR(CheckTensors(args));
  return CheckRopeShape(args.rope, args.kv.head_dim);
}

// A batch that is in host memory.
absl::Status CheckContents(const QkPrepareArgs& args) {
  SEER_RETURN_IF_ERROR(CheckBatch(args.batch));
  SEER_RETURN_IF_ERROR(CheckRopeTable(args.batch, args.rope, args.kv.head_dim));
  SEER_RETURN_IF_ERROR(CheckPages(args.batch, args.kv.num_pages));
  return CheckPagesDiffer(args.batch);
}

}  // namespace

absl::Status QkPrepare(Backend backend, const QkPrepareArgs& given,
                       DeviceStream stream) {
  QkPrepareArgs args = given;
  const int64_t head_dim = args.kv.head_dim;
  const int64_t key_width = args.kv.num_kv_heads * head_dim;
  if (args.query_row_stride == 0) {
    args.query_row_stride = args.num_query_heads * head_dim;
  }
  if (args.key_row_stride == 0) args.key_row_stride = key_width;
  if (args.value_row_stride == 0) args.value_row_stride = key_width;
  SEER_RETURN_IF_ERROR(CheckShapes(args));
  if (backend != Backend::kCuda) SEER_RETURN_IF_ERROR(CheckContents(args));

  switch (backend) {
    case Backend::kReference:
      QkPrepareReference(args);
      return absl::OkStatus();
    case Backend::kCpu:
      QkPrepareCpu(args, ExecutorOf(stream));
      return absl::OkStatus();
    case Backend::kCuda:
#ifdef SEER_CUDA
      return QkPrepareOnCuda(args, stream);
#else
      return absl::UnimplementedError("qk_prepare: built without CUDA");
#endif
  }
  return absl::InvalidArgumentError("qk_prepare: unknown backend");
}

}  // namespace seer
