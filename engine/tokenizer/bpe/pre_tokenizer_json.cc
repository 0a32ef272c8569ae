#include "engine/tokenizer/bpe/pre_tokenizer_json.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/text/json_view.h"

namespace seer {
namespace {

absl::StatusOr<SplitBehavior> ParseBehavior(const JsonView& json) {
  SEER_ASSIGN_OR_RETURN(const std::string name, json.String());
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return json.Error(absl::StrCat("unknown behavior ", json.Excerpt()));
}

absl::StatusOr<SplitStep> ParseSplit(const JsonView& json) {
  SplitStep step;
  const JsonView pattern = json["pattern"];
  step.literal = !pattern["String"].IsNull();
  SEER_ASSIGN_OR_RETURN(step.pattern,
                        pattern[step.literal ? "String" : "Regex"].String());
  if (step.pattern.empty()) return pattern.Error("the pattern is empty");
  SEER_ASSIGN_OR_RETURN(step.behavior, ParseBehavior(json["behavior"]));
  SEER_ASSIGN_OR_RETURN(step.invert, json["invert"].Bool());
  return step;
}

absl::StatusOr<SplitStep> ParseDigits(const JsonView& json) {
  SEER_ASSIGN_OR_RETURN(const bool individual,
                        json["individual_digits"].Bool());
  SplitStep step;
  step.pattern = R"(\p{N})";
  step.behavior =
      individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
  return step;
}

// Reads the parts of one level into one list.
class PreTokenizerReader {
 public:
  absl::Status Read(const JsonView& json) {
    SEER_ASSIGN_OR_RETURN(const std::string type, json["type"].String());
    if (type == "Sequence") return ReadSequence(json);
    if (byte_level_) {
      return json.Unsupported("a part after ByteLevel, which must be the last");
    }
    if (type == "ByteLevel") return ReadByteLevel(json);
    if (type == "Split") return Append(ParseSplit(json));
    if (type == "Digits") return Append(ParseDigits(json));
    return json["type"].Unsupported(
        absl::StrCat("pre-tokenizer ", type, " is not supported"));
  }

  bool byte_level() const { return byte_level_; }
  std::vector<SplitStep> TakeSteps() { return std::move(steps_); }

 private:
  absl::Status ReadSequence(const JsonView& json) {
    if (in_sequence_) return json.Unsupported("a sequence in a sequence");
    in_sequence_ = true;
    SEER_ASSIGN_OR_RETURN(const std::vector<JsonView> parts,
                          json["pretokenizers"].Array());
    for (const JsonView& part : parts) SEER_RETURN_IF_ERROR(Read(part));
    return absl::OkStatus();
  }

  absl::Status ReadByteLevel(const JsonView& json) {
    SEER_ASSIGN_OR_RETURN(const bool add_space,
                          json["add_prefix_space"].Bool());
    if (add_space) {
      return json["add_prefix_space"].Unsupported("true is not supported");
    }
    bool use_regex = true;  // the default of files from before there was a key
    if (!json["use_regex"].IsNull()) {
      SEER_ASSIGN_OR_RETURN(use_regex, json["use_regex"].Bool());
    }
    if (use_regex) {
      SplitStep step;
      step.pattern = kGpt2Pattern;
      steps_.push_back(std::move(step));
    }
    byte_level_ = true;
    return absl::OkStatus();
  }

  absl::Status Append(absl::StatusOr<SplitStep> step) {
    if (!step.ok()) return step.status();
    steps_.push_back(*std::move(step));
    return absl::OkStatus();
  }

  std::vector<SplitStep> steps_;
  bool byte_level_ = false;
  bool in_sequence_ = false;
};

}  // namespace

absl::StatusOr<std::vector<SplitStep>> ParsePreTokenizer(const JsonView& json) {
  if (json.IsNull()) {
    return json.Unsupported("a tokenizer without ByteLevel is not supported");
  }
  PreTokenizerReader reader;
  SEER_RETURN_IF_ERROR(reader.Read(json));
  if (!reader.byte_level()) {
    return json.Unsupported("a tokenizer without ByteLevel is not supported");
  }
  return reader.TakeSteps();
}

}  // namespace seer
