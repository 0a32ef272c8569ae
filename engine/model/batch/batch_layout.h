// A step's sequences laid out as kernels read them. No torch.
#ifndef SEER_ENGINE_MODEL_BATCH_BATCH_LAYOUT_H_
#define SEER_ENGINE_MODEL_BATCH_BATCH_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/batch/batch_sequence.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/ragged_batch.h"

namespace seer {

// Rows are packed in the order of the sequences. Borrows from the sequences it
// was built of; movable, and what batch() points to moves along.
class BatchLayout {
 public:
  // The prompt tiles that one gate scores.
  struct GateGroup {
    const GateState* gate = nullptr;
    std::vector<int32_t> tile_indices;  // ascending
  };
  // Consecutive prompt tiles of one sequence whose blocks an oracle ranks; no
  // more than are worth a workspace at a time.
  struct OracleRange {
    static constexpr int32_t kMaxTiles = 16;
    int32_t first_tile = 0;
    int32_t num_tiles = 0;
    Oracle oracle = Oracle::kNone;
    bool by_threshold = false;  // the budget compares probabilities
  };
  // A row whose logits are wanted.
  struct LogitsRow {
    int32_t sequence = 0;
    int32_t position = 0;  // in the sequence
    int32_t row = 0;       // packed
  };

  // `drawn`: of each sequence of the step before, the places of the tokens that
  // are drawn for it.
  // INVALID_ARGUMENT: no sequence, or one that breaks SequenceSlice's limits,
  // has a token below 0 or asks for a token that was not drawn.
  static absl::StatusOr<BatchLayout> Build(
      absl::Span<const BatchSequence> sequences,
      absl::Span<const std::vector<int32_t>> drawn = {});

  // Valid until this object is moved or destroyed.
  RaggedBatch batch() const;

  // Ids of all rows, [num_rows]; -1 - place: of a token that was drawn.
  const std::vector<int32_t>& tokens() const { return tokens_; }
  // In order of first use.
  const std::vector<GateGroup>& gates() const { return gates_; }
  // In order of tile.
  const std::vector<OracleRange>& oracles() const { return oracles_; }
  // False: every tile reads everything.
  bool selects() const { return !gates_.empty() || !oracles_.empty(); }
  // In order of row.
  const std::vector<LogitsRow>& logits_rows() const { return logits_rows_; }
  // A token to be drawn, or one whose score is wanted.
  struct RowToken {
    int32_t sequence = 0;
    int32_t index = 0;  // in the sequence's draws, or its scored tokens
    int32_t row = 0;    // packed
  };
  // In order of row, and of index.
  const std::vector<RowToken>& draws() const { return draws_; }
  const std::vector<RowToken>& scored() const { return scored_; }
  const BatchSequence& sequence(const RowToken& token) const {
    return sequences_[token.sequence];
  }
  // Whether any draw's score is wanted, and the most alternatives of a score.
  bool scores_draws() const { return scores_draws_; }
  int32_t num_top() const { return num_top_; }

  // Largest number of blocks that a prompt tile sees; 0: no prompt tile.
  int32_t max_visible_blocks() const { return max_visible_blocks_; }

  // The rules of one layer, [num_sequences].
  std::vector<SelectionRule> Rules(int32_t layer) const;

  // Adds one layer's blocks to the sequences that count them: `selected`
  // [num_sequences] by SelectBlocks, over tiles and heads; empty: all.
  void CountBlocks(int32_t layer, int32_t num_query_heads,
                   absl::Span<const int64_t> selected) const;

 private:
  BatchLayout() = default;
  void AddTiles(int32_t sequence);
  void AddGates();
  void AddOracle(int32_t tile, const SelectionPlan& plan);
  void AddLogitsRows(int32_t sequence);
  void AddRowTokens(int32_t sequence);

  absl::Span<const BatchSequence> sequences_;
  std::vector<SequenceSlice> slices_;
  std::vector<Tile> tiles_;
  std::vector<int64_t> visible_;  // [num_sequences], prompt tiles, one head
  std::vector<int32_t> tokens_;
  std::vector<GateGroup> gates_;
  std::vector<OracleRange> oracles_;
  std::vector<LogitsRow> logits_rows_;
  std::vector<RowToken> draws_;
  std::vector<RowToken> scored_;
  bool scores_draws_ = false;
  int32_t num_top_ = 0;
  int32_t num_prompt_tiles_ = 0;
  int32_t max_visible_blocks_ = 0;
};

// The tiles of a range as a batch of its own; the rows stay those of the step.
RaggedBatch OracleBatch(const RaggedBatch& step,
                        const BatchLayout::OracleRange& range);

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_BATCH_BATCH_LAYOUT_H_
