// Perplexity of texts x lengths x policies.
#ifndef SEER_CLIENT_EVALUATION_PERPLEXITY_PERPLEXITY_RUN_H_
#define SEER_CLIENT_EVALUATION_PERPLEXITY_PERPLEXITY_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/evaluation/perplexity/perplexity_sums.h"
#include "client/evaluation/policy_grid.h"
#include "client/evaluation/scoring.h"

namespace seer {

struct EvaluationText {
  std::string name;
  std::string sha256;  // of the file's bytes, hex
  std::vector<int32_t> ids;
};

// One text (or all), one length, one policy.
struct PerplexityCell {
  std::string text;  // "all": of every text
  int64_t length = 0;
  size_t policy = 0;            // into PerplexityReport::policies
  std::vector<int64_t> starts;  // of its windows; none for "all"
  std::string gate_version;     // "": dense, or built in
  absl::Status status;          // of the first window that failed, if any
  PerplexitySums sums;          // where status is OK
};

struct PerplexityReport {
  std::vector<GridPolicy> policies;
  // By text, length and policy, so that policies.size() cells, the dense one
  // first, are of one text and length; then "all" by length and policy, where
  // there are several texts.
  std::vector<PerplexityCell> cells;
  std::vector<std::string> left_out;  // a sentence each
};

struct PerplexityArgs {
  absl::Span<const EvaluationText> texts;
  std::vector<int32_t> begin_ids;  // put in front of every window
  std::vector<int64_t> lengths;    // of prompts, in tokens, begin_ids included
  int64_t max_windows = 1;         // of each text and length
  PolicyGrid grid;
};

// INVALID_ARGUMENT: a length that holds fewer than two tokens of a text.
// Texts shorter than a length are left out of it. Failed cells hold their
// status. Sums are made in a fixed order, whatever the concurrency.
absl::StatusOr<PerplexityReport> MeasurePerplexity(const Scorer& scorer,
                                                   const PerplexityArgs& args);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_PERPLEXITY_PERPLEXITY_RUN_H_
