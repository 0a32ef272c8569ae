// What a step is asked of single tokens: to draw some, and how likely some are.
#ifndef SEER_ENGINE_MODEL_BATCH_ROW_DRAW_H_
#define SEER_ENGINE_MODEL_BATCH_ROW_DRAW_H_

#include <cstdint>
#include <vector>

#include "engine/token.h"
#include "kernels/sample_tokens/token_draw.h"

namespace seer {

// A token to be drawn from a row of logits on the device. In `draw` the row and
// the range of adjustments are not read.
struct RowDraw {
  TokenDraw draw;
  std::vector<TokenAdjustment> adjustments;  // of a token at most one
};

// A token in the model's own distribution of its row.
struct RowScore {
  struct Top {
    TokenId id = 0;
    float logit = 0.0f;
  };
  float logit = 0.0f;
  // A token's log-probability is its logit less this; NaN: a logit of the row
  // is not finite, and nothing else is set.
  double log_sum_exp = 0.0;
  int32_t num_better = 0;  // tokens before it by logit, ties by id
  std::vector<Top> top;    // the most likely, best first
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_BATCH_ROW_DRAW_H_
