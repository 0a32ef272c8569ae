#include "tests/testing/engine/tiny/tiny_llama.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/file/atomic_file.h"
#include "base/safetensors/safetensors.h"
#include "base/safetensors/safetensors_writer.h"
#include "base/status_macros.h"
#include "kernels/dtype.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kChatTemplate[] =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != "
    "'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named "
    "SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";

// Pairs in byte-level notation, where U+0120 stands for a space.
constexpr const char* kMerges[][2] = {
    {"\u0120", "t"}, {"h", "e"}, {"\u0120t", "he"}, {"i", "n"}, {"a", "n"},
    {"an", "d"},     {"e", "r"}, {"\u0120", "a"},   {"o", "n"}};
static_assert(kTinyLlamaVocabSize ==
              3 + 256 + sizeof(kMerges) / sizeof(kMerges[0]));

std::string Utf8(int code_point) {
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3F))};
}

// The character that stands for each byte in byte-level BPE (GPT-2's table):
// printable ones for themselves, the others for U+0100 and up, in order.
std::vector<std::string> ByteCharacters() {
  std::vector<std::string> characters;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) ||
                           (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    characters.push_back(Utf8(printable ? byte : next++));
  }
  return characters;
}

Json TokenizerJson() {
  Json vocab = Json::object();
  Json added = Json::array();
  for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    const size_t id = vocab.size();
    vocab[special] = id;
    added.push_back({{"id", id},
                     {"content", special},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  for (const std::string& character : ByteCharacters()) {
    const size_t id = vocab.size();
    vocab[character] = id;
  }
  Json merges = Json::array();
  for (const auto& merge : kMerges) {
    const size_t id = vocab.size();
    vocab[absl::StrCat(merge[0], merge[1])] = id;
    merges.push_back(absl::StrCat(merge[0], " ", merge[1]));
  }
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", vocab},
            {"merges", merges}}}};
}

Json ConfigJson(const TinyLlamaOptions& options) {
  return {{"architectures", Json::array({"LlamaForCausalLM"})},
          {"attention_bias", false},
          {"bos_token_id", kTinyLlamaTurnStart},
          {"eos_token_id", kTinyLlamaTurnEnd},
          {"head_dim", options.head_dim},
          {"hidden_act", "silu"},
          {"hidden_size", options.hidden_size},
          {"intermediate_size", options.intermediate_size},
          {"max_position_embeddings", options.context_len},
          {"mlp_bias", false},
          {"model_type", "llama"},
          {"num_attention_heads", options.num_query_heads},
          {"num_hidden_layers", options.num_layers},
          {"num_key_value_heads", options.num_kv_heads},
          {"rms_norm_eps", 1e-5},
          {"rope_scaling", nullptr},
          {"rope_theta", options.rope_theta},
          {"tie_word_embeddings", options.tie_word_embeddings},
          {"torch_dtype", options.store_float32 ? "float32" : "bfloat16"},
          {"vocab_size", kTinyLlamaVocabSize}};
}

// Random tensors under the names of a Llama.
class RandomWeights {
 public:
  explicit RandomWeights(const TinyLlamaOptions& options)
      : options_(options), random_(options.seed) {
    const int64_t hidden = options.hidden_size;
    const int64_t inner = options.intermediate_size;
    const int64_t queries = int64_t{options.num_query_heads} * options.head_dim;
    const int64_t keys = int64_t{options.num_kv_heads} * options.head_dim;
    // Large enough that tokens have favourites, small enough that most have a
    // chance.
    AddMatrix("model.embed_tokens.weight", kTinyLlamaVocabSize, hidden,
              std::sqrt(1.0 * hidden) / 4);
    for (int32_t l = 0; l < options.num_layers; ++l) {
      const std::string layer = absl::StrCat("model.layers.", l, ".");
      const std::string attention = layer + "self_attn.";
      const std::string mlp = layer + "mlp.";
      AddNorm(layer + "input_layernorm.weight", hidden);
      AddMatrix(attention + "q_proj.weight", queries, hidden, 1.5);
      AddMatrix(attention + "k_proj.weight", keys, hidden, 1.5);
      AddMatrix(attention + "v_proj.weight", keys, hidden, 1.0);
      AddMatrix(attention + "o_proj.weight", hidden, queries, 1.0);
      AddNorm(layer + "post_attention_layernorm.weight", hidden);
      AddMatrix(mlp + "gate_proj.weight", inner, hidden, 1.0);
      AddMatrix(mlp + "up_proj.weight", inner, hidden, 1.0);
      AddMatrix(mlp + "down_proj.weight", hidden, inner, 1.0);
    }
    AddNorm("model.norm.weight", hidden);
    if (!options.tie_word_embeddings) {
      AddMatrix("lm_head.weight", kTinyLlamaVocabSize, hidden, 2.0);
    }
  }

  const SafetensorsContents& contents() const { return contents_; }

 private:
  // Uniform with this standard deviation. Not a standard distribution, whose
  // numbers are the library's own.
  float Draw(double deviation) {
    const double unit = static_cast<double>(random_() >> 11) * 0x1p-53;
    return static_cast<float>((2 * unit - 1) * std::sqrt(3.0) * deviation);
  }

  // Rows whose products with unit-variance inputs have deviation `gain`.
  void AddMatrix(const std::string& name, int64_t rows, int64_t columns,
                 double gain) {
    std::vector<float> values(rows * columns);
    for (float& value : values) {
      value = Draw(gain / std::sqrt(static_cast<double>(columns)));
    }
    Add(name, {rows, columns}, values);
  }

  void AddNorm(const std::string& name, int64_t size) {
    std::vector<float> values(size);
    for (float& value : values) value = 1.0f + Draw(0.1);
    Add(name, {size}, values);
  }

  void Add(const std::string& name, std::vector<int64_t> shape,
           const std::vector<float>& values) {
    const int width = options_.store_float32 ? 4 : 2;
    std::vector<uint8_t> bytes(values.size() * width);
    for (size_t i = 0; i < values.size(); ++i) {
      const BFloat16 narrow(values[i]);
      std::memcpy(bytes.data() + i * width,
                  width == 4 ? static_cast<const void*>(&values[i]) : &narrow,
                  width);
    }
    storage_.push_back(std::move(bytes));
    SafetensorsTensor tensor;
    tensor.dtype = options_.store_float32 ? SafetensorsDtype::kF32
                                          : SafetensorsDtype::kBF16;
    tensor.shape = std::move(shape);
    tensor.bytes = storage_.back();
    contents_.tensors[name] = std::move(tensor);
  }

  const TinyLlamaOptions options_;
  std::mt19937_64 random_;
  std::deque<std::vector<uint8_t>> storage_;
  SafetensorsContents contents_;
};

}  // namespace

absl::Status WriteTinyLlama(const std::string& folder,
                            const TinyLlamaOptions& options) {
  const Json tokenizer_config = {
      {"add_prefix_space", false},     {"bos_token", "<|im_start|>"},
      {"eos_token", "<|im_end|>"},     {"pad_token", "<|im_end|>"},
      {"unk_token", "<|endoftext|>"},  {"tokenizer_class", "GPT2Tokenizer"},
      {"chat_template", kChatTemplate}};
  const Json generation_config = {{"bos_token_id", kTinyLlamaTurnStart},
                                  {"eos_token_id", kTinyLlamaTurnEnd}};
  const std::pair<const char*, Json> files[] = {
      {"config.json", ConfigJson(options)},
      {"generation_config.json", generation_config},
      {"tokenizer.json", TokenizerJson()},
      {"tokenizer_config.json", tokenizer_config}};
  for (const auto& [name, json] : files) {
    const std::string text = json.dump(2);
    SEER_RETURN_IF_ERROR(
        WriteFileAtomically(absl::StrCat(folder, "/", name), {text}));
  }
  const RandomWeights weights(options);
  return WriteSafetensors(folder + "/model.safetensors", weights.contents());
}

}  // namespace seer
