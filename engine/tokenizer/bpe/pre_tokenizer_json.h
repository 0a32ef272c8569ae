// The "pre_tokenizer" part of tokenizer.json.
#ifndef SEER_ENGINE_TOKENIZER_BPE_PRE_TOKENIZER_JSON_H_
#define SEER_ENGINE_TOKENIZER_BPE_PRE_TOKENIZER_JSON_H_

#include <vector>

#include "absl/status/statusor.h"
#include "base/text/json_view.h"
#include "engine/tokenizer/bpe/pre_tokenizer.h"

namespace seer {

// The cuts before byte-level notation: of Digits and Split, and ByteLevel's
// own. INVALID_ARGUMENT: a malformed part. UNIMPLEMENTED: a type other than
// ByteLevel, Digits, Split and Sequence, a ByteLevel that adds a space, or one
// that is not the last part. The place is named.
absl::StatusOr<std::vector<SplitStep>> ParsePreTokenizer(const JsonView& json);

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_BPE_PRE_TOKENIZER_JSON_H_
