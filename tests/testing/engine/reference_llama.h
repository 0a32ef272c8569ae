// A Llama as the plainest code there is: one sequence, loops over floats.
#ifndef SEER_TESTS_TESTING_ENGINE_REFERENCE_LLAMA_H_
#define SEER_TESTS_TESTING_ENGINE_REFERENCE_LLAMA_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {

// How results are kept: kDouble is the reference; the other two are what plain
// code in that precision would give, every intermediate result rounded and sums
// in fp32.
enum class ReferencePrecision { kDouble, kFloat32, kBFloat16 };

class ReferenceLlama {
 public:
  // Whether `head` of `layer` reads key block `key_block` for rows of tile
  // `tile`; empty: always.
  using BlockMask = std::function<bool(int32_t layer, int32_t head,
                                       int32_t tile, int32_t key_block)>;

  // Loads what WriteTinyLlama wrote with these options.
  static absl::StatusOr<ReferenceLlama> Load(const std::string& folder,
                                             const TinyLlamaOptions& options);

  // Logits of every position, [tokens.size(), vocab_size]. `mask` is asked of
  // rows below `prompt_len` only.
  std::vector<float> Forward(absl::Span<const int32_t> tokens,
                             int64_t prompt_len, const BlockMask& mask,
                             ReferencePrecision precision) const;

 private:
  using Matrix = std::vector<std::vector<double>>;  // rows
  class Run;

  Matrix Get(const std::string& name) const { return weights_.at(name); }

  TinyLlamaOptions options_;
  std::map<std::string, Matrix> weights_;  // vectors are one row
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_REFERENCE_LLAMA_H_
