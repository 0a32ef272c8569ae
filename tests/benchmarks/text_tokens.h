// What a benchmark's prompts are cut from.
#ifndef SEER_TESTS_BENCHMARKS_TEXT_TOKENS_H_
#define SEER_TESTS_BENCHMARKS_TEXT_TOKENS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/token.h"
#include "engine/tokenizer/tokenizer.h"

namespace seer {

// The tokens of a text file; none of one that cannot be read.
absl::StatusOr<std::vector<TokenId>> ReadTokens(const std::string& path,
                                                const Tokenizer& tokenizer);

}  // namespace seer

#endif  // SEER_TESTS_BENCHMARKS_TEXT_TOKENS_H_
