#include "tests/testing/kernels/cases/ragged_case.h"

#include <algorithm>
#include <numeric>

#include "absl/base/internal/raw_logging.h"

namespace seer {
namespace {

bool IsPromptSlice(const SliceSpec& s) {
  return s.position_begin < s.prompt_len;
}

bool IsValid(const SliceSpec& s) {
  if (s.prompt_len < 1 || s.position_begin < 0 || s.num_rows < 1) return false;
  if (!IsPromptSlice(s)) return true;
  const int32_t end = s.EndPosition();
  return s.position_begin % kBlockSize == 0 && end <= s.prompt_len &&
         (end % kBlockSize == 0 || end == s.prompt_len);
}

void AppendTiles(const SequenceSlice& slice, int32_t sequence,
                 std::vector<Tile>* tiles) {
  const int32_t end = slice.position_begin + slice.num_rows;
  for (int32_t p = slice.position_begin; p < end;) {
    Tile t;
    t.sequence = sequence;
    t.row_begin = slice.row_begin + (p - slice.position_begin);
    t.block = p / kBlockSize;
    t.offset = p % kBlockSize;
    t.num_rows = std::min(kBlockSize - t.offset, end - p);
    tiles->push_back(t);
    p += t.num_rows;
  }
}

}  // namespace

SliceSpec WholePrompt(int32_t prompt_len) {
  return {prompt_len, 0, prompt_len};
}

SliceSpec PromptChunk(int32_t prompt_len, int32_t begin, int32_t end) {
  return {prompt_len, begin, end - begin};
}

SliceSpec GeneratedRows(int32_t prompt_len, int32_t position,
                        int32_t num_rows) {
  return {prompt_len, position, num_rows};
}

SliceSpec RandomSlice(int32_t max_len, std::mt19937_64& random) {
  const auto below = [&random](int64_t n) {
    return static_cast<int32_t>(random() % static_cast<uint64_t>(n));
  };
  const int32_t len = 1 + below(max_len);
  const int32_t num_tiles = static_cast<int32_t>(NumBlocks(len));
  switch (below(3)) {
    case 0: {
      const int32_t first = below(num_tiles);
      const int32_t last = first + below(num_tiles - first);
      return PromptChunk(len, first * kBlockSize,
                         std::min(len, (last + 1) * kBlockSize));
    }
    case 1: {
      const int32_t prompt_len = 1 + below(len);
      if (prompt_len == len) return WholePrompt(len);
      return GeneratedRows(prompt_len, len - 1, 1);
    }
    default: {
      const int32_t prompt_len = 1 + below(len);
      if (prompt_len == len) return WholePrompt(len);
      const int32_t begin = prompt_len + below(len - prompt_len);
      return GeneratedRows(prompt_len, begin, 1 + below(len - begin));
    }
  }
}

RaggedCase::RaggedCase(const std::vector<SliceSpec>& specs, uint64_t seed)
    : storage_(std::make_unique<Storage>()) {
  Storage& s = *storage_;
  s.specs = specs;
  int64_t used_pages = 0;
  for (const SliceSpec& spec : specs) {
    ABSL_RAW_CHECK(IsValid(spec), "not a slice of one side of a prompt");
    used_pages += NumBlocks(spec.EndPosition());
  }
  s.num_pages = used_pages + 1 + used_pages / 8;
  std::vector<int32_t> pages(s.num_pages);
  std::iota(pages.begin(), pages.end(), 0);
  std::mt19937_64 random(seed);
  std::shuffle(pages.begin(), pages.end(), random);

  auto next_page = pages.begin();
  for (const SliceSpec& spec : specs) {
    const int64_t num_blocks = NumBlocks(spec.EndPosition());
    s.page_tables.emplace_back(next_page, next_page + num_blocks);
    next_page += num_blocks;
  }
  LayOut();
}

RaggedCase::RaggedCase(const std::vector<SliceSpec>& specs,
                       const std::vector<std::vector<int32_t>>& page_tables,
                       int64_t num_pages)
    : storage_(std::make_unique<Storage>()) {
  storage_->specs = specs;
  storage_->page_tables = page_tables;
  storage_->num_pages = num_pages;
  ABSL_RAW_CHECK(page_tables.size() == specs.size(), "a page table a sequence");
  for (size_t i = 0; i < specs.size(); ++i) {
    ABSL_RAW_CHECK(IsValid(specs[i]), "not a slice of one side of a prompt");
    ABSL_RAW_CHECK(static_cast<int64_t>(page_tables[i].size()) >=
                       NumBlocks(specs[i].EndPosition()),
                   "the page table is too short");
  }
  LayOut();
}

void RaggedCase::LayOut() {
  Storage& s = *storage_;
  const std::vector<SliceSpec>& specs = s.specs;
  for (size_t i = 0; i < specs.size(); ++i) {
    SequenceSlice slice;
    slice.row_begin = s.batch.num_rows;
    slice.num_rows = specs[i].num_rows;
    slice.position_begin = specs[i].position_begin;
    slice.prompt_len = specs[i].prompt_len;
    slice.page_table = s.page_tables[i].data();
    s.sequences.push_back(slice);
    s.batch.num_rows += specs[i].num_rows;
  }
  for (const bool prompt : {true, false}) {
    for (size_t i = 0; i < specs.size(); ++i) {
      if (IsPromptSlice(specs[i]) != prompt) continue;
      AppendTiles(s.sequences[i], static_cast<int32_t>(i), &s.tiles);
    }
    if (prompt) s.batch.num_prompt_tiles = static_cast<int32_t>(s.tiles.size());
  }
  s.batch.sequences = s.sequences.data();
  s.batch.num_sequences = static_cast<int32_t>(s.sequences.size());
  s.batch.tiles = s.tiles.data();
  s.batch.num_tiles = static_cast<int32_t>(s.tiles.size());
}

int32_t RaggedCase::max_visible_blocks() const {
  int32_t most = 0;
  for (const Tile& t : storage_->tiles) most = std::max(most, VisibleBlocks(t));
  return most;
}

}  // namespace seer
