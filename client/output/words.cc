#include "client/output/words.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace seer {

std::string WordOf(absl::string_view name, absl::string_view prefix) {
  if (name.empty()) return "unknown";
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

std::string Word(v1::FinishReason reason) {
  return WordOf(v1::FinishReason_Name(reason), "FINISH_REASON_");
}

std::string Word(v1::DenseFallback fallback) {
  return WordOf(v1::DenseFallback_Name(fallback), "DENSE_FALLBACK_");
}

std::string Word(v1::Allocation allocation) {
  return WordOf(v1::Allocation_Name(allocation), "ALLOCATION_");
}

std::string Word(v1::GateLabel label) {
  return WordOf(v1::GateLabel_Name(label), "GATE_LABEL_");
}

std::string Word(v1::BuiltinGate gate) {
  return WordOf(v1::BuiltinGate_Name(gate), "BUILTIN_GATE_");
}

std::string GateWord(const v1::SparsityPolicy& policy) {
  switch (policy.gate_case()) {
    case v1::SparsityPolicy::kGateSet:
      return policy.gate_set();
    case v1::SparsityPolicy::kLabel:
      return Word(policy.label());
    case v1::SparsityPolicy::kBuiltin:
      return Word(policy.builtin());
    case v1::SparsityPolicy::GATE_NOT_SET:
      break;
  }
  return "";
}

double Seconds(const google::protobuf::Duration& duration) {
  return duration.seconds() + duration.nanos() * 1e-9;
}

double TokensPerSecond(const v1::CompleteResult& result) {
  const double decode = Seconds(result.summary().timings().decode());
  const int64_t tokens =
      result.summary().usage().output_tokens() - result.choices_size();
  return decode > 0 && tokens > 0 ? tokens / decode : 0.0;
}

std::string SparsityText(const v1::SparsityReport& report) {
  std::string text =
      absl::StrFormat("realized sparsity %.3f", report.realized_sparsity());
  if (report.closest_feasible()) text += " (closest feasible)";
  absl::StrAppend(&text, ", gate ",
                  report.gate().empty() ? "none" : report.gate());
  if (report.dense_fallback() != v1::DENSE_FALLBACK_UNSPECIFIED &&
      report.dense_fallback() != v1::DENSE_FALLBACK_NONE) {
    absl::StrAppend(&text, " (dense: ", Word(report.dense_fallback()), ")");
  }
  return text;
}

std::string ClosingLine(const v1::CompleteResult& result) {
  const v1::Summary& summary = result.summary();
  const v1::Timings& timings = summary.timings();
  std::string line =
      summary.usage().output_tokens() > 0
          ? absl::StrFormat("TTFT %.2f s",
                            Seconds(timings.time_to_first_token()))
          : absl::StrFormat("prefill %.2f s", Seconds(timings.prefill()));
  if (const double rate = TokensPerSecond(result); rate > 0) {
    absl::StrAppendFormat(&line, ", %.1f tokens/s", rate);
  }
  absl::StrAppendFormat(&line, ", %d prompt + %d output tokens",
                        summary.usage().prompt_tokens(),
                        summary.usage().output_tokens());
  return absl::StrCat(line, ", ", SparsityText(summary.sparsity()));
}

}  // namespace seer
