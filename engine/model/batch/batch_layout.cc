#include "engine/model/batch/batch_layout.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace seer {
namespace {

bool IsSparse(const BatchSequence& sequence) {
  return sequence.is_prompt() && sequence.plan != nullptr &&
         !sequence.plan->dense();
}

absl::Status Check(const BatchSequence& s, int index) {
  const int64_t num_rows = s.tokens.size();
  const int64_t end = s.position_begin + num_rows;
  const char* problem = nullptr;
  if (num_rows < 1) {
    problem = "has no rows";
  } else if (s.position_begin < 0 || s.prompt_len < 1) {
    problem = "has no prompt or a negative position";
  } else if (s.is_prompt() && end > s.prompt_len) {
    problem = "spans the end of its prompt";
  } else if (s.is_prompt() &&
             (s.position_begin % kBlockSize != 0 ||
              (end % kBlockSize != 0 && end != s.prompt_len))) {
    problem = "has a prompt slice that is not of whole tiles";
  } else if (static_cast<int64_t>(s.page_table.size()) < NumBlocks(end)) {
    problem = "has too few pages";
  } else if (std::any_of(s.tokens.begin(), s.tokens.end(),
                         [](TokenId token) { return token < 0; })) {
    problem = "has a token below 0";
  } else if (s.scored.size() > s.tokens.size()) {
    problem = "scores more tokens than it has rows";
  } else if (IsSparse(s) && s.gate == nullptr &&
             s.plan->oracle == Oracle::kNone) {
    problem = "is sparse without a gate";
  }
  if (problem == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("sequence ", index, " of the batch ", problem));
}

// The place of the token that the sequence takes of the step before.
absl::StatusOr<int32_t> PlaceOf(const BatchSequence& s,
                                absl::Span<const std::vector<int32_t>> drawn) {
  const BatchSequence::DrawnBy& by = *s.drawn_by;
  if (s.is_prompt() || s.tokens.size() != 1 || by.sequence < 0 ||
      by.sequence >= static_cast<int64_t>(drawn.size()) || by.draw < 0 ||
      by.draw >= static_cast<int64_t>(drawn[by.sequence].size())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the batch has a token of the step before that was not drawn, draw ",
        by.draw, " of its sequence ", by.sequence));
  }
  return drawn[by.sequence][by.draw];
}

}  // namespace

absl::StatusOr<BatchLayout> BatchLayout::Build(
    absl::Span<const BatchSequence> sequences,
    absl::Span<const std::vector<int32_t>> drawn) {
  if (sequences.empty()) {
    return absl::InvalidArgumentError("a batch without sequences");
  }
  BatchLayout layout;
  layout.sequences_ = sequences;
  layout.visible_.assign(sequences.size(), 0);
  for (size_t i = 0; i < sequences.size(); ++i) {
    const BatchSequence& sequence = sequences[i];
    SEER_RETURN_IF_ERROR(Check(sequence, static_cast<int>(i)));
    SequenceSlice slice;
    slice.row_begin = static_cast<int32_t>(layout.tokens_.size());
    slice.num_rows = static_cast<int32_t>(sequence.tokens.size());
    slice.position_begin = sequence.position_begin;
    slice.prompt_len = sequence.prompt_len;
    slice.page_table = sequence.page_table.data();
    layout.slices_.push_back(slice);
    layout.tokens_.insert(layout.tokens_.end(), sequence.tokens.begin(),
                          sequence.tokens.end());
    if (sequence.drawn_by.has_value()) {
      SEER_ASSIGN_OR_RETURN(const int32_t place, PlaceOf(sequence, drawn));
      layout.tokens_.back() = -1 - place;
    }
    layout.AddLogitsRows(static_cast<int32_t>(i));
    layout.AddRowTokens(static_cast<int32_t>(i));
  }
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i].is_prompt()) layout.AddTiles(static_cast<int32_t>(i));
  }
  layout.num_prompt_tiles_ = static_cast<int32_t>(layout.tiles_.size());
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (!sequences[i].is_prompt()) layout.AddTiles(static_cast<int32_t>(i));
  }
  layout.AddGates();
  return layout;
}

void BatchLayout::AddTiles(int32_t sequence) {
  const SequenceSlice& slice = slices_[sequence];
  const bool is_prompt = sequences_[sequence].is_prompt();
  for (int32_t done = 0; done < slice.num_rows;) {
    const int32_t position = slice.position_begin + done;
    Tile tile;
    tile.sequence = sequence;
    tile.row_begin = slice.row_begin + done;
    tile.block = position / kBlockSize;
    tile.offset = position % kBlockSize;
    tile.num_rows = std::min(kBlockSize - tile.offset, slice.num_rows - done);
    done += tile.num_rows;
    tiles_.push_back(tile);
    if (is_prompt) {
      visible_[sequence] += VisibleBlocks(tile);
      max_visible_blocks_ = std::max(max_visible_blocks_, VisibleBlocks(tile));
    }
  }
}

void BatchLayout::AddGates() {
  for (int32_t t = 0; t < num_prompt_tiles_; ++t) {
    const BatchSequence& sequence = sequences_[tiles_[t].sequence];
    if (!IsSparse(sequence)) continue;
    if (sequence.plan->oracle != Oracle::kNone) {
      AddOracle(t, *sequence.plan);
      continue;
    }
    auto group = std::find_if(
        gates_.begin(), gates_.end(),
        [&](const GateGroup& g) { return g.gate == sequence.gate; });
    if (group == gates_.end()) {
      gates_.push_back({sequence.gate, {}});
      group = gates_.end() - 1;
    }
    group->tile_indices.push_back(t);
  }
}

void BatchLayout::AddOracle(int32_t tile, const SelectionPlan& plan) {
  const bool goes_on =
      !oracles_.empty() &&
      oracles_.back().first_tile + oracles_.back().num_tiles == tile &&
      oracles_.back().num_tiles < OracleRange::kMaxTiles &&
      tiles_[tile].sequence == tiles_[tile - 1].sequence;
  if (!goes_on) {
    OracleRange range;
    range.first_tile = tile;
    range.oracle = plan.oracle;
    range.by_threshold = plan.effective.budget.kind == BudgetKind::kThreshold;
    oracles_.push_back(range);
  }
  ++oracles_.back().num_tiles;
}

void BatchLayout::AddLogitsRows(int32_t sequence) {
  const SequenceSlice& slice = slices_[sequence];
  int32_t first = slice.num_rows;
  if (sequences_[sequence].logits == LogitsRows::kLast) first -= 1;
  if (sequences_[sequence].logits == LogitsRows::kAll) first = 0;
  for (int32_t row = first; row < slice.num_rows; ++row) {
    logits_rows_.push_back(
        {sequence, slice.position_begin + row, slice.row_begin + row});
  }
}

void BatchLayout::AddRowTokens(int32_t sequence) {
  const BatchSequence& s = sequences_[sequence];
  const SequenceSlice& slice = slices_[sequence];
  const int32_t num_scored = static_cast<int32_t>(s.scored.size());
  for (int32_t i = 0; i < num_scored; ++i) {
    scored_.push_back({sequence, i, slice.row_begin + i});
  }
  const int32_t num_draws = static_cast<int32_t>(s.draws.size());
  for (int32_t i = 0; i < num_draws; ++i) {
    draws_.push_back({sequence, i, slice.row_begin + slice.num_rows - 1});
  }
  const bool scores_draws = num_draws > 0 && s.drawn_scores != nullptr;
  scores_draws_ = scores_draws_ || scores_draws;
  if (scores_draws || num_scored > 0) num_top_ = std::max(num_top_, s.num_top);
}

RaggedBatch BatchLayout::batch() const {
  RaggedBatch batch;
  batch.sequences = slices_.data();
  batch.tiles = tiles_.data();
  batch.num_sequences = static_cast<int32_t>(slices_.size());
  batch.num_rows = static_cast<int32_t>(tokens_.size());
  batch.num_tiles = static_cast<int32_t>(tiles_.size());
  batch.num_prompt_tiles = num_prompt_tiles_;
  return batch;
}

std::vector<SelectionRule> BatchLayout::Rules(int32_t layer) const {
  std::vector<SelectionRule> rules(sequences_.size());
  for (size_t i = 0; i < sequences_.size(); ++i) {
    if (IsSparse(sequences_[i])) {
      rules[i] = sequences_[i].plan->Rule(layer);
    } else {
      rules[i].num_prompt_tiles =
          static_cast<int32_t>(NumBlocks(sequences_[i].prompt_len));
    }
  }
  return rules;
}

void BatchLayout::CountBlocks(int32_t layer, int32_t num_query_heads,
                              absl::Span<const int64_t> selected) const {
  for (size_t i = 0; i < sequences_.size(); ++i) {
    if (sequences_[i].blocks == nullptr) continue;
    const int64_t visible = visible_[i] * num_query_heads;
    LayerBlocks& blocks = sequences_[i].blocks[layer];
    blocks.visible += visible;
    blocks.selected += selected.empty() ? visible : selected[i];
  }
}

RaggedBatch OracleBatch(const RaggedBatch& step,
                        const BatchLayout::OracleRange& range) {
  RaggedBatch batch = step;
  batch.tiles += range.first_tile;
  batch.num_tiles = range.num_tiles;
  batch.num_prompt_tiles = range.num_tiles;
  return batch;
}

}  // namespace seer
