// Writes the block sets that mean_pool chooses for a real text, for benchmarks
// of attention: a line of JSON, then the bits.
//
//   capture_sets --model=FOLDER --text=FILE --tokens=8192
//       --sparsities=0.5,0.7,0.8,0.9 --output=FILE
//
// The JSON has length, layers, tiles, heads, kv_heads, head_dim, words and
// sparsities; the bits are little-endian uint64 [sparsities, layers, tiles,
// heads, words], bit j of a row being key block j.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "engine/gate/gate_set.h"
#include "engine/tokenizer/tokenizer.h"
#include "kernels/ragged_batch.h"
#include "tests/testing/engine/model_runner.h"

using Strings = std::vector<std::string>;

ABSL_FLAG(std::string, model, "", "folder of the model");
ABSL_FLAG(std::string, text, "", "file of text, long enough");
ABSL_FLAG(int64_t, tokens, 8192, "tokens of it to take");
ABSL_FLAG(Strings, sparsities, (Strings{"0.5", "0.7", "0.8", "0.9"}),
          "target sparsities");
ABSL_FLAG(std::string, output, "", "file to write");

namespace seer {
namespace {

absl::StatusOr<std::vector<int32_t>> TokensOfText() {
  SEER_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer,
                        Tokenizer::Load(absl::GetFlag(FLAGS_model)));
  std::ifstream file(absl::GetFlag(FLAGS_text));
  std::stringstream text;
  text << file.rdbuf();
  SEER_ASSIGN_OR_RETURN(std::vector<TokenId> ids,
                        tokenizer->Encode(text.str(), {}));
  const size_t wanted = absl::GetFlag(FLAGS_tokens);
  if (ids.size() < wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text has only ", ids.size(), " tokens"));
  }
  ids.resize(wanted);
  return ids;
}

// Bits of every (layer, tile, head) of a sequence.
std::vector<uint64_t> BitsOf(const ModelRunner::Sequence& sequence,
                             const GateShape& shape, int32_t num_tiles) {
  const int32_t num_words = (num_tiles + 63) / 64;
  std::vector<uint64_t> bits;
  for (int32_t layer = 0; layer < shape.num_layers; ++layer) {
    for (int32_t tile = 0; tile < num_tiles; ++tile) {
      for (int32_t head = 0; head < shape.num_query_heads; ++head) {
        const std::vector<bool>& set = sequence.sets.at({layer, tile, head});
        std::vector<uint64_t> words(num_words);
        for (size_t j = 0; j < set.size(); ++j) {
          words[j / 64] |= uint64_t{set[j]} << (j % 64);
        }
        bits.insert(bits.end(), words.begin(), words.end());
      }
    }
  }
  return bits;
}

absl::Status Capture() {
  SEER_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, TokensOfText());
  const int64_t num_tokens = static_cast<int64_t>(tokens.size());
  const int32_t num_tiles = static_cast<int32_t>(NumBlocks(num_tokens));
  std::ofstream file(absl::GetFlag(FLAGS_output), std::ios::binary);
  for (const std::string& text : absl::GetFlag(FLAGS_sparsities)) {
    SEER_ASSIGN_OR_RETURN(
        const std::unique_ptr<ModelRunner> runner,
        ModelRunner::Load(absl::GetFlag(FLAGS_model), DType::kBFloat16,
                          num_tiles, "auto", /*num_threads=*/2));
    const GateShape shape = runner->gate_shape();
    if (file.tellp() == 0) {
      file << "{\"length\":" << num_tokens << ",\"layers\":" << shape.num_layers
           << ",\"tiles\":" << num_tiles
           << ",\"heads\":" << shape.num_query_heads
           << ",\"kv_heads\":" << shape.num_kv_heads
           << ",\"head_dim\":" << shape.head_dim
           << ",\"words\":" << (num_tiles + 63) / 64 << ",\"sparsities\":["
           << absl::StrJoin(absl::GetFlag(FLAGS_sparsities), ",") << "]}\n";
    }
    EffectivePolicy policy;
    policy.budget.kind = BudgetKind::kTargetSparsity;
    if (!absl::SimpleAtod(text, &policy.budget.target_sparsity)) {
      return absl::InvalidArgumentError(absl::StrCat("not a number: ", text));
    }
    const int32_t id =
        runner->Add(tokens, num_tokens, policy, BuiltinMeanPool(shape));
    SEER_RETURN_IF_ERROR(runner->RunAlone(id, 1024));
    const std::vector<uint64_t> bits =
        BitsOf(runner->sequence(id), shape, num_tiles);
    file.write(reinterpret_cast<const char*>(bits.data()),
               bits.size() * sizeof(uint64_t));
  }
  file.close();
  if (!file.good()) return absl::InternalError("the file cannot be written");
  return absl::OkStatus();
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = seer::Capture();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
