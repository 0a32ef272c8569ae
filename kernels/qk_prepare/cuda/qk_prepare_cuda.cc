#include "kernels/qk_prepare/cuda/qk_prepare_cuda.h"

#include <cuda_runtime_api.h>

#include "kernels/cuda/cuda_status.h"
#include "kernels/qk_prepare/cuda/narrow.h"
#include "kernels/qk_prepare/cuda/prepare_params.h"
#include "kernels/qk_prepare/cuda/wide.h"

namespace seer {

absl::Status QkPrepareOnCuda(const QkPrepareArgs& args, DeviceStream stream) {
  if (args.batch.num_tiles == 0) return absl::OkStatus();
  cuda::PrepareParams params;
  params.batch = args.batch;
  params.num_query_heads = args.num_query_heads;
  params.queries = args.queries;
  params.keys = args.keys;
  params.values = args.values;
  params.query_row_stride = args.query_row_stride;
  params.key_row_stride = args.key_row_stride;
  params.value_row_stride = args.value_row_stride;
  params.cos = args.rope.cos;
  params.sin = args.rope.sin;
  params.roped_queries = args.roped_queries;
  params.kv = args.kv;
  params.pooled_queries = args.pooled_queries;
  const cudaError_t error =
      cuda::FitsWide(params, args.dtype)
          ? cuda::LaunchWide(params, args.dtype, stream.cuda_stream)
          : cuda::LaunchNarrow(params, args.dtype, stream.cuda_stream);
  return CudaStatus("qk_prepare", error);
}

}  // namespace seer
