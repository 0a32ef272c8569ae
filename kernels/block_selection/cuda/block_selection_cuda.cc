#include "kernels/block_selection/cuda/block_selection_cuda.h"

#include <cuda_runtime_api.h>

#include "kernels/block_selection/cuda/select_rows.h"
#include "kernels/cuda/cuda_status.h"

namespace seer {

absl::Status SelectBlocksOnCuda(const BlockSelectionArgs& args,
                                DeviceStream stream) {
  if (args.batch.num_prompt_tiles == 0) return absl::OkStatus();
  cuda::SelectRowsParams params;
  params.batch = args.batch;
  params.rules = args.rules;
  params.num_query_heads = args.num_query_heads;
  params.logits = args.logits;
  params.logits_row_len = args.logits_row_len;
  params.sets = args.sets;
  params.num_selected = args.num_selected;
  return CudaStatus("block_selection",
                    cuda::LaunchSelectRows(params, stream.cuda_stream));
}

}  // namespace seer
