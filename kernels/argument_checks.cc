#include "kernels/argument_checks.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace seer {
namespace {

int64_t PositionEnd(const SequenceSlice& s) {
  return int64_t{s.position_begin} + s.num_rows;
}

absl::Status CheckSequence(const RaggedBatch& batch, int32_t index) {
  const SequenceSlice& s = batch.sequences[index];
  const auto fail = [index](const char* what) {
    return absl::InvalidArgumentError(
        absl::StrCat("sequence ", index, ": ", what));
  };
  if (s.num_rows < 1) return fail("no rows");
  if (s.row_begin < 0 || s.row_begin > batch.num_rows - s.num_rows) {
    return fail("rows outside the batch");
  }
  if (s.position_begin < 0 || PositionEnd(s) > INT32_MAX) {
    return fail("positions out of range");
  }
  if (s.prompt_len < 1) return fail("prompt_len below 1");
  if (s.page_table == nullptr) return fail("no page table");
  if (s.position_begin >= s.prompt_len) return absl::OkStatus();
  if (PositionEnd(s) > s.prompt_len) {
    return fail("the slice crosses the end of the prompt");
  }
  if (s.position_begin % kBlockSize != 0 ||
      (PositionEnd(s) % kBlockSize != 0 && PositionEnd(s) != s.prompt_len)) {
    return fail("the prompt slice cuts a tile");
  }
  return absl::OkStatus();
}

absl::Status CheckTile(const RaggedBatch& batch, int32_t index) {
  const Tile& t = batch.tiles[index];
  const auto fail = [index](const char* what) {
    return absl::InvalidArgumentError(absl::StrCat("tile ", index, ": ", what));
  };
  if (t.sequence < 0 || t.sequence >= batch.num_sequences) {
    return fail("no such sequence");
  }
  const SequenceSlice& s = batch.sequences[t.sequence];
  const int32_t first = t.row_begin - s.row_begin;
  if (t.num_rows < 1 || first < 0 || first > s.num_rows - t.num_rows) {
    return fail("rows outside the sequence's slice");
  }
  if (t.block < 0 || t.offset < 0 || t.offset + t.num_rows > kBlockSize ||
      int64_t{t.block} * kBlockSize + t.offset !=
          int64_t{s.position_begin} + first) {
    return fail("block and offset disagree with the rows' positions");
  }
  const bool is_prompt = s.position_begin < s.prompt_len;
  if (is_prompt != (index < batch.num_prompt_tiles)) {
    return fail("prompt tiles come first, and only they");
  }
  const int32_t whole = std::min<int64_t>(
      kBlockSize, s.prompt_len - int64_t{t.block} * kBlockSize);
  if (is_prompt && (t.offset != 0 || t.num_rows != whole)) {
    return fail("a prompt tile is not whole");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckBatch(const RaggedBatch& batch) {
  if (batch.num_sequences < 0 || batch.num_rows < 0 || batch.num_tiles < 0 ||
      batch.num_prompt_tiles < 0 || batch.num_prompt_tiles > batch.num_tiles) {
    return absl::InvalidArgumentError("batch: a count is out of range");
  }
  if ((batch.num_sequences > 0 && batch.sequences == nullptr) ||
      (batch.num_tiles > 0 && batch.tiles == nullptr)) {
    return absl::InvalidArgumentError("batch: no sequences or no tiles given");
  }
  for (int32_t i = 0; i < batch.num_sequences; ++i) {
    SEER_RETURN_IF_ERROR(CheckSequence(batch, i));
  }
  for (int32_t i = 0; i < batch.num_tiles; ++i) {
    SEER_RETURN_IF_ERROR(CheckTile(batch, i));
  }
  return absl::OkStatus();
}

absl::Status CheckPagedKv(const PagedKv& kv) {
  if (kv.pages == nullptr || kv.pooled_keys == nullptr || kv.num_pages < 1) {
    return absl::InvalidArgumentError("kv: no pages");
  }
  if (kv.num_kv_heads < 1) {
    return absl::InvalidArgumentError("kv: num_kv_heads below 1");
  }
  if (kv.head_dim < 2 || kv.head_dim > 256 || kv.head_dim % 2 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv: head_dim ", kv.head_dim, ", want even, 2..256"));
  }
  return absl::OkStatus();
}

absl::Status CheckPages(const RaggedBatch& batch, int64_t num_pages) {
  for (int32_t i = 0; i < batch.num_sequences; ++i) {
    const SequenceSlice& s = batch.sequences[i];
    const int64_t num_blocks = NumBlocks(PositionEnd(s));
    for (int64_t b = 0; b < num_blocks; ++b) {
      if (s.page_table[b] < 0 || s.page_table[b] >= num_pages) {
        return absl::InvalidArgumentError(
            absl::StrCat("sequence ", i, ": page ", s.page_table[b],
                         " of block ", b, " is none of ", num_pages));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRopeShape(const RopeTable& rope, int32_t head_dim) {
  if (rope.cos == nullptr || rope.sin == nullptr || rope.head_dim != head_dim) {
    return absl::InvalidArgumentError("rope: no table for this head_dim");
  }
  return absl::OkStatus();
}

absl::Status CheckPagesDiffer(const RaggedBatch& batch) {
  std::vector<int32_t> pages(batch.num_tiles);
  for (int32_t t = 0; t < batch.num_tiles; ++t) {
    const Tile& tile = batch.tiles[t];
    pages[t] = batch.sequences[tile.sequence].page_table[tile.block];
  }
  std::sort(pages.begin(), pages.end());
  const auto twice = std::adjacent_find(pages.begin(), pages.end());
  if (twice == pages.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("two tiles write page ", *twice));
}

absl::Status CheckRopeTable(const RaggedBatch& batch, const RopeTable& rope,
                            int32_t head_dim) {
  SEER_RETURN_IF_ERROR(CheckRopeShape(rope, head_dim));
  for (int32_t i = 0; i < batch.num_sequences; ++i) {
    if (PositionEnd(batch.sequences[i]) > rope.num_positions) {
      return absl::InvalidArgumentError(
          absl::StrCat("rope: the table of ", rope.num_positions,
                       " positions is too short for sequence ", i));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHeads(int32_t num_query_heads, int32_t num_kv_heads) {
  if (num_query_heads < 1 || num_kv_heads < 1 ||
      num_query_heads % num_kv_heads != 0 ||
      num_query_heads / num_kv_heads > kMaxQueryGroup) {
    return absl::InvalidArgumentError(
        absl::StrCat(num_query_heads, " query heads over ", num_kv_heads,
                     " KV heads, want a group of 1..", kMaxQueryGroup));
  }
  return absl::OkStatus();
}

}  // namespace seer
