#include "tests/testing/kernels/cases/pooling_case.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "tests/testing/kernels/error_budget.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_pooling.h"
#endif

namespace seer {
namespace {

constexpr float kUnwritten = std::numeric_limits<float>::quiet_NaN();
constexpr int32_t kSpareBlocks = 3;

int32_t RowLenOf(const RaggedBatch& batch) {
  int32_t visible = 0;
  for (int32_t t = 0; t < batch.num_tiles; ++t) {
    visible = std::max(visible, VisibleBlocks(batch.tiles[t]));
  }
  return visible + kSpareBlocks;
}

using Targets = std::vector<float> PoolingResult::*;

// The targets of a tile that sees one block are 1, which plain code gets
// exactly by dividing a sum by itself: no measure for a kernel that goes by
// logarithms. That one may be off by, in units of 2^-24: 4 for the rounding of
// log2 of a sum of up to 64, 4 for the log2 itself (2^-22), 4 for adding to it,
// each times ln 2; 4 for the exponential; 3 for a reciprocal, a product and a
// mean.
constexpr double kOneBlockError = (12 * 0.7 + 4 + 3) / (1 << 24);

::testing::AssertionResult OneBlockTargetsAreOne(
    const std::vector<float>& targets) {
  for (const float target : targets) {
    // Not by its complement: NaN is not within.
    if (std::abs(target - 1.0) <= kOneBlockError) continue;
    return ::testing::AssertionFailure()
           << "a tile that sees one block has " << target;
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult TargetsWithinBudget(const AttentionCase& c,
                                               Targets targets,
                                               const PoolingResult& fast,
                                               const PoolingResult& plain,
                                               const PoolingResult& reference) {
  struct Bucket {
    std::vector<float> fast, plain, reference;
  };
  std::map<int, Bucket> buckets;
  std::vector<float> one_block;
  const RaggedBatch& batch = c.batch();
  const int32_t row_len = RowLenOf(batch);
  const int32_t num_heads = c.shape().num_query_heads();
  for (int32_t row = 0; row < batch.num_tiles * num_heads; ++row) {
    const int32_t visible = VisibleBlocks(batch.tiles[row / num_heads]);
    const int64_t at = int64_t{row} * row_len;
    for (int32_t j = visible; j < row_len; ++j) {
      if (!std::isnan((fast.*targets)[at + j])) {
        return ::testing::AssertionFailure()
               << "row " << row << ": block " << j << " was written";
      }
    }
    if (visible == 1) {
      one_block.push_back((fast.*targets)[at]);
      continue;
    }
    Bucket& bucket = buckets[std::ilogb(visible)];
    const auto append = [&](const PoolingResult& from, std::vector<float>* to) {
      const auto begin = (from.*targets).begin() + at;
      to->insert(to->end(), begin, begin + visible);
    };
    append(fast, &bucket.fast);
    append(plain, &bucket.plain);
    append(reference, &bucket.reference);
  }
  const auto ones = OneBlockTargetsAreOne(one_block);
  if (!ones) return ones;
  for (const auto& [log2_blocks, bucket] : buckets) {
    const auto result = WithinErrorBudget(bucket.fast, bucket.plain,
                                          bucket.reference, DType::kFloat32);
    if (!result) {
      return ::testing::AssertionFailure() << "tiles that see 2^" << log2_blocks
                                           << " blocks: " << result.message();
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace

absl::Status PoolAttentionFromHost(Backend backend,
                                   const AttentionPoolingArgs& args,
                                   DeviceStream stream) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return PoolAttentionOnDevice(args);
#endif
  return PoolAttention(backend, args, stream);
}

absl::Status MassRecallFromHost(Backend backend, const MassRecallArgs& args,
                                DeviceStream stream) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return MassRecallOnDevice(args);
#endif
  return MassRecall(backend, args, stream);
}

PoolingResult RunPooling(
    const AttentionCase& c,
    absl::FunctionRef<void(const AttentionPoolingArgs&)> pool) {
  PoolingResult result;
  const int32_t row_len = RowLenOf(c.batch());
  const int64_t size =
      int64_t{c.batch().num_tiles} * c.shape().num_query_heads() * row_len;
  result.max_target.assign(size, kUnwritten);
  result.mass_target.assign(size, kUnwritten);
  result.attention = c.Run([&](const AttentionArgs& attention) {
    AttentionPoolingArgs args;
    args.attention = attention;
    args.max_target = result.max_target.data();
    args.mass_target = result.mass_target.data();
    args.row_len = row_len;
    pool(args);
  });
  return result;
}

::testing::AssertionResult WithinPoolingBudget(const AttentionCase& c,
                                               const PoolingResult& fast,
                                               const PoolingResult& plain,
                                               const PoolingResult& reference) {
  const auto max = TargetsWithinBudget(c, &PoolingResult::max_target, fast,
                                       plain, reference);
  if (!max) return ::testing::AssertionFailure() << "max: " << max.message();
  const auto mass = TargetsWithinBudget(c, &PoolingResult::mass_target, fast,
                                        plain, reference);
  if (!mass) return ::testing::AssertionFailure() << "mass: " << mass.message();
  return ::testing::AssertionSuccess();
}

}  // namespace seer
