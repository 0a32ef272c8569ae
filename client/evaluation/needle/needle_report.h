// What a search for needles came to, for people and for programs.
#ifndef SEER_CLIENT_EVALUATION_NEEDLE_NEEDLE_REPORT_H_
#define SEER_CLIENT_EVALUATION_NEEDLE_NEEDLE_REPORT_H_

#include <string>

#include "client/evaluation/needle/needle_run.h"
#include "client/output/result_json.h"

namespace seer {

// A line for each length and policy, a column for each depth: the share of
// trials whose right value was the likeliest.
std::string NeedleTable(const NeedleReport& report);

// {"num_candidates", "cells": [...], "left_out": [...], "num_failed": N};
// docs/seerctl.md lists the fields.
Json NeedleJson(const NeedleReport& report);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_NEEDLE_NEEDLE_REPORT_H_
