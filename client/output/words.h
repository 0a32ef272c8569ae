// The words that stand for the wire's enumerations, in JSON and in text.
#ifndef SEER_CLIENT_OUTPUT_WORDS_H_
#define SEER_CLIENT_OUTPUT_WORDS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/duration.pb.h"
#include "proto/seer/v1/completion.pb.h"
#include "proto/seer/v1/sparsity.pb.h"

namespace seer {

// `name`, a value's name in a .proto file, in lower case and without `prefix`;
// "unknown" where it is empty.
std::string WordOf(absl::string_view name, absl::string_view prefix);

// Lower case, without the enumeration's prefix: "end_of_text"; "unspecified"
// for 0 and "unknown" for a value that this client does not know.
std::string Word(v1::FinishReason reason);
std::string Word(v1::DenseFallback fallback);
std::string Word(v1::Allocation allocation);
std::string Word(v1::GateLabel label);
std::string Word(v1::BuiltinGate gate);

// As --gate takes it; "" where the policy names none.
std::string GateWord(const v1::SparsityPolicy& policy);

double Seconds(const google::protobuf::Duration& duration);

// Output tokens after the first of each choice, per second of decoding; 0
// where there was none.
double TokensPerSecond(const v1::CompleteResult& result);

// "realized sparsity 0.801 (closest feasible), gate mean_pool", and why the
// prompt was read densely where it was.
std::string SparsityText(const v1::SparsityReport& report);

// "TTFT 1.83 s, 41.2 tokens/s, 6021 prompt + 64 output tokens, realized
// sparsity 0.801, gate mean_pool"; where no token came, "prefill 1.83 s" in
// place of the first.
std::string ClosingLine(const v1::CompleteResult& result);

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_WORDS_H_
