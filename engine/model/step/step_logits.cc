#include "engine/model/step/step_logits.h"

#include <algorithm>
#include <vector>

namespace seer {

int64_t LogitsRowsAtOnce(const BatchLayout& layout, int64_t vocab_size) {
  constexpr int64_t kBytes = 32 << 20;
  const int64_t fit = kBytes / (vocab_size * int64_t{sizeof(float)});
  return std::min<int64_t>(std::max<int64_t>(1, fit),
                           layout.logits_rows().size());
}

absl::Status GiveLogits(const ForwardArgs& args, const BatchLayout& layout,
                        const StepResults& results, int64_t first,
                        int64_t count) {
  std::vector<LogitsBlock::Row> rows;
  for (int64_t i = first; i < first + count; ++i) {
    const BatchLayout::LogitsRow& row = layout.logits_rows()[i];
    rows.push_back({row.sequence, row.position});
  }
  return args.on_logits({rows, results.fetched_logits()});
}

}  // namespace seer
