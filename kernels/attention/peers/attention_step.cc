// One step's attention on the GPU, for programs in other languages: what
// compare.py calls through ctypes. Device pointers are passed as they are.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/status/status.h"
#include "kernels/attention/attention.h"
#include "tests/testing/kernels/cases/ragged_case.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_batch.h"

namespace {

struct Step {
  Step(const std::vector<seer::SliceSpec>& specs,
       const std::vector<std::vector<int32_t>>& page_tables, int64_t num_pages)
      : host(specs, page_tables, num_pages), device(host.batch()) {}

  seer::RaggedCase host;
  seer::DeviceBatch device;
};

}  // namespace

extern "C" {

// The caller's tensors; sets null: every tile reads everything.
struct SeerTensors {
  int32_t num_query_heads;
  int32_t num_kv_heads;
  int32_t head_dim;
  int32_t is_fp32;
  float scale;
  int32_t num_words;
  int64_t num_pages;
  const void* queries;
  void* pages;
  void* bits;
  void* counts;
  void* out;
  void* log_sum_exp;
  void* workspace;
  int64_t workspace_bytes;
};

// specs [num_sequences, 3]: prompt_len, position_begin, num_rows. `pages`: of
// every block up to each sequence's last, one sequence after the other.
void* seer_step_create(const int32_t* specs, int32_t num_sequences,
                       const int32_t* pages, int64_t num_pages) {
  std::vector<seer::SliceSpec> slices;
  std::vector<std::vector<int32_t>> page_tables;
  for (int32_t i = 0; i < num_sequences; ++i) {
    slices.push_back({specs[3 * i], specs[3 * i + 1], specs[3 * i + 2]});
    const int64_t n = seer::NumBlocks(slices.back().EndPosition());
    page_tables.emplace_back(pages, pages + n);
    pages += n;
  }
  return new Step(slices, page_tables, num_pages);
}

void seer_step_destroy(void* step) { delete static_cast<Step*>(step); }

static seer::AttentionArgs Args(const Step& step, const SeerTensors& t) {
  seer::AttentionArgs args;
  args.batch = step.device.batch();
  args.plan = step.device.plan();
  args.dtype = t.is_fp32 ? seer::DType::kFloat32 : seer::DType::kBFloat16;
  args.num_query_heads = t.num_query_heads;
  args.queries = t.queries;
  args.kv.pages = t.pages;
  args.kv.dtype = args.dtype;
  args.kv.num_pages = t.num_pages;
  args.kv.num_kv_heads = t.num_kv_heads;
  args.kv.head_dim = t.head_dim;
  args.sets.bits = static_cast<uint64_t*>(t.bits);
  args.sets.counts = static_cast<int32_t*>(t.counts);
  args.sets.num_words = t.num_words;
  args.sets.num_query_heads = t.num_query_heads;
  args.scale = t.scale;
  args.out = t.out;
  args.log_sum_exp = static_cast<float*>(t.log_sum_exp);
  return args;
}

int64_t seer_workspace_bytes(void* step, const SeerTensors* tensors) {
  return seer::AttentionWorkspaceBytes(
      seer::Backend::kCuda, Args(*static_cast<Step*>(step), *tensors));
}

// 0, or prints why not.
int32_t seer_attend(void* step, const SeerTensors* tensors, void* cuda_stream) {
  seer::DeviceStream stream;
  stream.cuda_stream = static_cast<CUstream_st*>(cuda_stream);
  stream.workspace = tensors->workspace;
  stream.workspace_bytes = tensors->workspace_bytes;
  const absl::Status status = seer::Attend(
      seer::Backend::kCuda, Args(*static_cast<Step*>(step), *tensors), stream);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}

}  // extern "C"
