#include "engine/model/batch/step_inputs.h"

#include <algorithm>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/argument_checks.h"
#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {
namespace {

int64_t PositionEnd(const SequenceSlice& s) {
  return int64_t{s.position_begin} + s.num_rows;
}

absl::Status Check(const BatchLayout& layout, const StepLimits& limits) {
  const RaggedBatch batch = layout.batch();
  SEER_RETURN_IF_ERROR(CheckBatch(batch));
  SEER_RETURN_IF_ERROR(CheckPages(batch, limits.num_pages));
  SEER_RETURN_IF_ERROR(CheckPagesDiffer(batch));
  for (int32_t i = 0; i < batch.num_sequences; ++i) {
    if (PositionEnd(batch.sequences[i]) > limits.context_len) {
      return absl::InvalidArgumentError(
          absl::StrCat("sequence ", i, " of the batch goes past the context"));
    }
  }
  for (const int32_t token : layout.tokens()) {
    if (token >= limits.vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("token ", token, " is none of the vocabulary"));
    }
  }
  return absl::OkStatus();
}

// Places of arrays one after the other in a buffer. Without one, only counts
// their bytes.
class Packer {
 public:
  Packer() = default;
  explicit Packer(TransferBuffer* buffer) : buffer_(buffer) {}

  // A place of `count` elements, written through `host`. Returns what the
  // device knows it by.
  template <class T>
  T* Place(int64_t count, T** host) {
    const size_t at = bytes_;
    bytes_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    if (buffer_ == nullptr) return nullptr;
    *host = reinterpret_cast<T*>(buffer_->host() + at);
    return reinterpret_cast<T*>(buffer_->device() + at);
  }
  // The same, filled with [begin, begin + count).
  template <class T>
  const T* Copy(const T* begin, int64_t count) {
    T* host = nullptr;
    T* const device = Place<T>(count, &host);
    if (host != nullptr) std::copy_n(begin, count, host);
    return device;
  }
  bool counting() const { return buffer_ == nullptr; }
  // The whole buffer, as the device and the host know it.
  const char* device() const {
    return counting() ? nullptr : buffer_->device();
  }
  const char* host() const { return counting() ? nullptr : buffer_->host(); }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kAlignment = 16;
  TransferBuffer* buffer_ = nullptr;
  size_t bytes_ = 0;
};

// A tile that kernels pass over.
constexpr Tile kNoRows;

// The plan of a batch of tiles from `first_tile` of the step on.
struct TilePlan {
  TilePlan(const RaggedBatch& batch, int32_t first)
      : first_tile(first), plan(PlanAttention(batch, &parts)) {}

  int32_t first_tile = 0;
  std::vector<PromptPart> parts;
  AttentionPlan plan;
};

// Packs a step; run twice, to count and to write.
class StepPacking {
 public:
  StepPacking(const BatchLayout& layout, const StepLimits& limits,
              int32_t min_rows)
      : layout_(layout),
        limits_(limits),
        batch_(layout.batch()),
        num_added_(std::max(0, min_rows - batch_.num_rows)),
        draws_by_row_(min_rows > 0) {
    plans_.emplace_back(batch_, 0);
    for (const BatchLayout::OracleRange& range : layout.oracles()) {
      plans_.emplace_back(OracleBatch(batch_, range), range.first_tile);
    }
    for (const BatchLayout::RowToken& draw : layout.draws()) {
      if (draws_by_row_) {
        places_.push_back({draw.row, draw.row});
        continue;
      }
      if (drawn_rows_.empty() || drawn_rows_.back() != draw.row) {
        drawn_rows_.push_back(draw.row);
      }
      places_.push_back({static_cast<int32_t>(places_.size()),
                         static_cast<int32_t>(drawn_rows_.size()) - 1});
    }
  }

  StepInputs Pack(Packer& packer) {
    StepInputs inputs;
    inputs.batch = batch_;
    inputs.batch.num_sequences += num_added_;
    inputs.batch.num_tiles += num_added_;
    inputs.batch.num_rows += num_added_;
    PackBatch(packer, inputs);
    PackAdjustments(packer);
    PackWantedRows(packer, inputs);
    for (const BatchLayout::GateGroup& group : layout_.gates()) {
      inputs.tile_indices.push_back(
          packer.Copy(group.tile_indices.data(),
                      static_cast<int64_t>(group.tile_indices.size())));
    }
    if (!layout_.selects()) return inputs;
    for (int32_t layer = 0; layer < limits_.num_layers; ++layer) {
      inputs.rules.push_back(PackRules(packer, layer));
    }
    return inputs;
  }

 private:
  void PackBatch(Packer& packer, StepInputs& inputs);
  // Of a row, tile or sequence each; and what stands for an added one.
  template <class T>
  const T* CopyAndAdd(Packer& packer, const T* begin, int64_t count,
                      const T& added) const;
  void PackDraws(Packer& packer, StepInputs& inputs);
  void PackAdjustments(Packer& packer) const;
  void PackWantedRows(Packer& packer, StepInputs& inputs) const;
  const SelectionRule* PackRules(Packer& packer, int32_t layer) const;

  const BatchLayout& layout_;
  const StepLimits& limits_;
  const RaggedBatch batch_;
  const int32_t num_added_;
  const bool draws_by_row_;
  // Of the layout's draws(): where each stands, and the row it names.
  struct Place {
    int32_t draw = 0;
    int32_t row = 0;
  };
  std::vector<Place> places_;
  std::vector<int32_t> drawn_rows_;  // packed, unless draws are by row
  TokenDraw* draws_ = nullptr;       // at the host, while packing
  // The step's own, then its oracle ranges'.
  std::vector<TilePlan> plans_;
};

// Page tables, whose lengths change from step to step, come last; slices and
// parts point to them.
void StepPacking::PackBatch(Packer& packer, StepInputs& inputs) {
  SequenceSlice* slices = nullptr;
  inputs.batch.sequences =
      packer.Place<SequenceSlice>(inputs.batch.num_sequences, &slices);
  inputs.batch.tiles =
      CopyAndAdd(packer, batch_.tiles, batch_.num_tiles, kNoRows);
  inputs.tokens =
      CopyAndAdd(packer, layout_.tokens().data(), batch_.num_rows, 0);
  PackDraws(packer, inputs);
  std::vector<PromptPart*> parts(plans_.size());
  std::vector<AttentionPlan> plans;
  for (size_t i = 0; i < plans_.size(); ++i) {
    plans.push_back(plans_[i].plan);
    plans[i].parts =
        packer.Place<PromptPart>(plans_[i].plan.num_parts, &parts[i]);
  }
  inputs.plan = plans[0];
  inputs.oracle_plans.assign(plans.begin() + 1, plans.end());
  std::vector<const int32_t*> page_tables;
  for (int32_t i = 0; i < batch_.num_sequences; ++i) {
    const SequenceSlice& slice = batch_.sequences[i];
    page_tables.push_back(
        packer.Copy(slice.page_table, NumBlocks(PositionEnd(slice))));
  }
  if (packer.counting()) return;
  std::fill_n(slices, inputs.batch.num_sequences, SequenceSlice());
  for (int32_t i = 0; i < batch_.num_sequences; ++i) {
    slices[i] = batch_.sequences[i];
    slices[i].page_table = page_tables[i];
  }
  for (size_t p = 0; p < plans_.size(); ++p) {
    const Tile* const tiles = batch_.tiles + plans_[p].first_tile;
    for (size_t i = 0; i < plans_[p].parts.size(); ++i) {
      parts[p][i] = plans_[p].parts[i];
      parts[p][i].page_table = page_tables[tiles[parts[p][i].tile].sequence];
    }
  }
}

template <class T>
const T* StepPacking::CopyAndAdd(Packer& packer, const T* begin, int64_t count,
                                 const T& added) const {
  T* host = nullptr;
  T* const device = packer.Place<T>(count + num_added_, &host);
  if (host != nullptr) {
    std::fill_n(std::copy_n(begin, count, host), num_added_, added);
  }
  return device;
}

void StepPacking::PackDraws(Packer& packer, StepInputs& inputs) {
  inputs.num_draws = draws_by_row_ ? inputs.batch.num_rows
                                   : static_cast<int32_t>(places_.size());
  inputs.num_drawn_rows = static_cast<int32_t>(drawn_rows_.size());
  inputs.draws = packer.Place<TokenDraw>(inputs.num_draws, &draws_);
  int32_t* scored_rows = nullptr;
  inputs.scored_rows = packer.Place<int32_t>(inputs.num_draws, &scored_rows);
  // Ranges of adjustments count from where the buffer begins, which does not
  // move from step to step.
  inputs.adjustments =
      reinterpret_cast<const TokenAdjustment*>(packer.device());
  if (packer.counting()) return;
  std::fill_n(draws_, inputs.num_draws, TokenDraw());
  std::fill_n(scored_rows, inputs.num_draws, -1);
  for (size_t i = 0; i < places_.size(); ++i) {
    const BatchLayout::RowToken& token = layout_.draws()[i];
    const BatchSequence& sequence = layout_.sequence(token);
    TokenDraw& draw = draws_[places_[i].draw];
    draw = sequence.draws[token.index].draw;
    draw.row = places_[i].row;
    draw.first_adjustment = 0;
    draw.num_adjustments = 0;
    if (sequence.drawn_scores != nullptr) {
      scored_rows[places_[i].draw] = places_[i].row;
    }
  }
}

void StepPacking::PackAdjustments(Packer& packer) const {
  for (size_t i = 0; i < places_.size(); ++i) {
    const BatchLayout::RowToken& token = layout_.draws()[i];
    const std::vector<TokenAdjustment>& adjustments =
        layout_.sequence(token).draws[token.index].adjustments;
    if (adjustments.empty()) continue;
    const TokenAdjustment* const at = packer.Copy(
        adjustments.data(), static_cast<int64_t>(adjustments.size()));
    if (packer.counting()) continue;
    TokenDraw& draw = draws_[places_[i].draw];
    draw.first_adjustment = static_cast<int32_t>(
        at - reinterpret_cast<const TokenAdjustment*>(packer.device()));
    draw.num_adjustments = static_cast<int32_t>(adjustments.size());
  }
}

void StepPacking::PackWantedRows(Packer& packer, StepInputs& inputs) const {
  std::vector<int64_t> rows;
  std::vector<int32_t> tokens;
  for (const BatchLayout::LogitsRow& row : layout_.logits_rows()) {
    rows.push_back(row.row);
  }
  for (const BatchLayout::RowToken& scored : layout_.scored()) {
    rows.push_back(scored.row);
    tokens.push_back(layout_.sequence(scored).scored[scored.index]);
  }
  rows.insert(rows.end(), drawn_rows_.begin(), drawn_rows_.end());
  inputs.wanted_rows =
      packer.Copy(rows.data(), static_cast<int64_t>(rows.size()));
  inputs.scored_tokens =
      packer.Copy(tokens.data(), static_cast<int64_t>(tokens.size()));
}

const SelectionRule* StepPacking::PackRules(Packer& packer,
                                            int32_t layer) const {
  std::vector<SelectionRule> rules = layout_.Rules(layer);
  for (SelectionRule& rule : rules) {
    if (rule.row_budgets == nullptr) continue;
    rule.row_budgets = packer.Copy(rule.row_budgets, limits_.num_query_heads);
  }
  return packer.Copy(rules.data(), static_cast<int64_t>(rules.size()));
}

// As the host knows them, which holds until they are sent.
absl::Status CheckDrawsOf(const StepInputs& inputs, const StepLimits& limits,
                          const Packer& packer) {
  SampleTokensArgs args;
  args.num_rows = inputs.batch.num_rows;
  args.vocab_size = limits.vocab_size;
  args.num_draws = inputs.num_draws;
  args.draws = reinterpret_cast<const TokenDraw*>(
      packer.host() +
      (reinterpret_cast<const char*>(inputs.draws) - packer.device()));
  args.adjustments = reinterpret_cast<const TokenAdjustment*>(packer.host());
  args.num_adjustments = packer.bytes() / sizeof(TokenAdjustment);
  return CheckDraws(args);
}

}  // namespace

absl::StatusOr<StepInputs> SendStepInputs(const BatchLayout& layout,
                                          const StepLimits& limits,
                                          TransferBuffer* buffer,
                                          int32_t min_rows) {
  SEER_RETURN_IF_ERROR(Check(layout, limits));
  StepPacking packing(layout, limits, min_rows);
  Packer counter;
  packing.Pack(counter);
  SEER_RETURN_IF_ERROR(buffer->Reserve(counter.bytes()));
  Packer packer(buffer);
  StepInputs inputs = packing.Pack(packer);
  SEER_RETURN_IF_ERROR(CheckDrawsOf(inputs, limits, packer));
  SEER_RETURN_IF_ERROR(buffer->Upload(packer.bytes()));
  return inputs;
}

}  // namespace seer
