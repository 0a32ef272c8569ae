#include "tests/benchmarks/text_tokens.h"

#include <fstream>
#include <iterator>

namespace seer {

absl::StatusOr<std::vector<TokenId>> ReadTokens(const std::string& path,
                                                const Tokenizer& tokenizer) {
  std::ifstream file(path);
  const std::string content((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
  return tokenizer.Encode(content, {});
}

}  // namespace seer
