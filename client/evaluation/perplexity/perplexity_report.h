// What a run came to, for people and for programs.
#ifndef SEER_CLIENT_EVALUATION_PERPLEXITY_PERPLEXITY_REPORT_H_
#define SEER_CLIENT_EVALUATION_PERPLEXITY_PERPLEXITY_REPORT_H_

#include <string>

#include "client/evaluation/perplexity/perplexity_run.h"
#include "client/output/result_json.h"

namespace seer {

// One line a cell, with the difference to the dense cell of the same text and
// length; a realized density that misses the one asked for is marked.
std::string PerplexityTable(const PerplexityReport& report);

// {"cells": [...], "left_out": [...], "num_failed": N}; docs/seerctl.md lists
// the fields.
Json PerplexityJson(const PerplexityReport& report);

// Perplexity against realized sparsity, a panel for each text and length, a
// line for each gate and allocation, which begins at the dense point.
std::string PerplexityPlot(const PerplexityReport& report);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_PERPLEXITY_PERPLEXITY_REPORT_H_
