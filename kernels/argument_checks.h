// The checks that every op makes of the arguments that all ops share.
#ifndef SEER_KERNELS_ARGUMENT_CHECKS_H_
#define SEER_KERNELS_ARGUMENT_CHECKS_H_

#include "absl/status/status.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"
#include "kernels/rope.h"

namespace seer {

// INVALID_ARGUMENT, naming the sequence or tile, unless the batch is as
// ragged_batch.h describes it: slices lie within the packed rows and on one
// side of their prompt's end, prompt slices start and end at tile borders, and
// tiles lie within their slices, prompt tiles first and whole.
absl::Status CheckBatch(const RaggedBatch& batch);

// INVALID_ARGUMENT unless pages, pooled_keys, the counts and head_dim (even,
// 2..256) are set.
absl::Status CheckPagedKv(const PagedKv& kv);

// INVALID_ARGUMENT unless every page that the batch's sequences reach, up to
// their slices' last positions, is in [0, num_pages). `batch` has passed
// CheckBatch.
absl::Status CheckPages(const RaggedBatch& batch, int64_t num_pages);

// INVALID_ARGUMENT where two tiles of the batch, which has passed CheckPages,
// are in one page: tiles are written at the same time.
absl::Status CheckPagesDiffer(const RaggedBatch& batch);

// INVALID_ARGUMENT unless there is a table, for `head_dim`.
absl::Status CheckRopeShape(const RopeTable& rope, int32_t head_dim);

// INVALID_ARGUMENT unless, beside that, the table covers every position of the
// batch, which has passed CheckBatch.
absl::Status CheckRopeTable(const RaggedBatch& batch, const RopeTable& rope,
                            int32_t head_dim);

// The most query heads that may read one KV head.
constexpr int32_t kMaxQueryGroup = 16;

// INVALID_ARGUMENT unless num_query_heads is num_kv_heads times a group of
// 1..kMaxQueryGroup.
absl::Status CheckHeads(int32_t num_query_heads, int32_t num_kv_heads);

}  // namespace seer

#endif  // SEER_KERNELS_ARGUMENT_CHECKS_H_
