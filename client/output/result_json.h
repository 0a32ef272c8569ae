// Results as JSON. The fields are an interface: docs/seerctl.md lists them.
#ifndef SEER_CLIENT_OUTPUT_RESULT_JSON_H_
#define SEER_CLIENT_OUTPUT_RESULT_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "proto/seer/v1/completion.pb.h"

namespace seer {

// Keeps its fields in the order they were added.
using Json = nlohmann::ordered_json;

// One line, or indented by `indent` spaces; bytes that are no UTF-8 become
// U+FFFD. Values that JSON lacks (NaN) become null.
std::string ToText(const Json& json, int indent = -1);

Json PolicyJson(const v1::SparsityPolicy& policy);
Json ReportJson(const v1::SparsityReport& report);
Json TimingsJson(const v1::Timings& timings);
Json UsageJson(const v1::Usage& usage);
Json LogprobJson(const v1::LogprobEntry& entry);
Json ChoiceJson(int index, const v1::Choice& choice);
// The fields of a whole result; prompt_logprobs only where there are any.
Json ResultJson(const v1::CompleteResult& result);
Json ModelJson(const v1::Model& model);
Json LoadJson(const v1::Load& load);
// {"error": {...}}
Json ErrorJson(const absl::Status& status);

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_RESULT_JSON_H_
