// Regular expressions of tokenizer.json, as PCRE2 takes them.
#ifndef SEER_ENGINE_TOKENIZER_BPE_PATTERN_H_
#define SEER_ENGINE_TOKENIZER_BPE_PATTERN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace seer {

// Rewrites an Oniguruma pattern so that PCRE2 (UTF, UCP, multi-line) finds the
// same: \s and \S become Unicode's white space.
// UNIMPLEMENTED: escapes other than \s \S \d \D \r \n \t \v \f, \p{..}, \P{..}
// and of punctuation; \S inside brackets; sets inside brackets ([[:x:]], &&).
absl::StatusOr<std::string> TranslatePattern(absl::string_view pattern);

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_BPE_PATTERN_H_
