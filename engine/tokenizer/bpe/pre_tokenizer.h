// Cuts a text into the words that are encoded each for itself.
#ifndef SEER_ENGINE_TOKENIZER_BPE_PRE_TOKENIZER_H_
#define SEER_ENGINE_TOKENIZER_BPE_PRE_TOKENIZER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace seer {

// What becomes of the matches of a pattern.
enum class SplitBehavior {
  kRemoved,             // dropped
  kIsolated,            // words of their own
  kMergedWithPrevious,  // joined to what is before them
  kMergedWithNext,      // joined to what is after them
  kContiguous,          // isolated, but neighbouring matches are one word
};

// One cut of each word that the step before gave.
struct SplitStep {
  std::string pattern;   // a regular expression
  bool literal = false;  // or just a string
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // what does not match plays the match's part
};

// GPT-2's pattern, which ByteLevel has built in.
extern const char kGpt2Pattern[];

// The patterns are written for Oniguruma; this takes what means the same in
// PCRE2 once \s is spelled out. Immutable, thread-safe.
class PreTokenizer {
 public:
  // UNIMPLEMENTED: a pattern that uses what the two engines may read
  // differently, does not compile, or can match nothing at all.
  static absl::StatusOr<PreTokenizer> Make(absl::Span<const SplitStep> steps);

  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&);
  PreTokenizer& operator=(PreTokenizer&&);

  // Calls `word` for the words of `text`, which must be valid UTF-8, in order;
  // none is empty.
  // RESOURCE_EXHAUSTED: a pattern needed more steps than are linear in `text`.
  absl::Status Split(absl::string_view text,
                     absl::FunctionRef<void(absl::string_view)> word) const;

 private:
  struct CompiledStep;
  class Splitter;  // one call of Split

  PreTokenizer();

  std::vector<CompiledStep> steps_;
};

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_BPE_PRE_TOKENIZER_H_
