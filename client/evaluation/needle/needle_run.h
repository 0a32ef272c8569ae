// Retrieval of hidden facts, by lengths x depths x policies.
#ifndef SEER_CLIENT_EVALUATION_NEEDLE_NEEDLE_RUN_H_
#define SEER_CLIENT_EVALUATION_NEEDLE_NEEDLE_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/evaluation/policy_grid.h"
#include "client/evaluation/scoring.h"

namespace seer {

struct NeedleArgs {
  std::vector<int32_t> begin_ids;  // put in front of every prompt
  std::vector<int32_t> filler;     // the long text's tokens
  std::vector<int64_t> lengths;    // of prompts, in tokens
  std::vector<double> depths;      // shares of the text before the fact, [0, 1]
  int num_trials = 1;              // of each cell, each with its own facts
  int num_candidates = 5;          // facts a prompt: one is right, 2 to 20
  uint64_t seed = 0;
  PolicyGrid grid;
};

// One length, depth and policy.
struct NeedleCell {
  int64_t length = 0;
  double depth = 0;
  size_t policy = 0;    // into NeedleReport::policies
  absl::Status status;  // of the first prompt that failed, if any
  // Where status is OK, over trials:
  int num_trials = 0;
  int num_right = 0;     // the right value was the likeliest
  int64_t rank_sum = 0;  // of the right value's rank among the candidates
  int64_t blocks_visible = 0;
  int64_t blocks_selected = 0;
};

struct NeedleReport {
  std::vector<GridPolicy> policies;
  int num_candidates = 0;
  std::vector<NeedleCell> cells;      // by length, policy and depth
  std::vector<std::string> left_out;  // a sentence each
};

// Every prompt of a trial holds all its facts; it ends with the question and
// one of the values, whose tokens' log-probabilities are summed: a model that
// cannot chat can be asked this way. INVALID_ARGUMENT: the filler is shorter
// than a prompt, or a prompt than its facts. Failed cells hold their status.
absl::StatusOr<NeedleReport> FindNeedles(const Scorer& scorer,
                                         const NeedleArgs& args);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_NEEDLE_NEEDLE_RUN_H_
