#include "engine/weights/model_config.h"

#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "kernels/rope.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

using nlohmann::json;

// Llama 3.1's form of file.
json Valid() {
  return json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "attention_bias": false, "attention_dropout": 0.0, "mlp_bias": false,
    "bos_token_id": 1000, "eos_token_id": [1001, 1008], "hidden_act": "silu",
    "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3,
    "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 1024,
    "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0, "tie_word_embeddings": false,
    "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0,
      "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
      "rope_type": "llama3"},
    "torch_dtype": "bfloat16", "transformers_version": "4.43.0"})");
}

absl::StatusOr<ModelConfig> Parse(const json& config) {
  return ParseModelConfig(config.dump());
}

TEST(ModelConfigTest, ReadsEveryField) {
  const auto config = Parse(Valid());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model_type, "llama");
  EXPECT_EQ(config->hidden_size, 256);
  EXPECT_EQ(config->intermediate_size, 512);
  EXPECT_EQ(config->num_layers, 3);
  EXPECT_EQ(config->num_query_heads, 8);
  EXPECT_EQ(config->num_kv_heads, 2);
  EXPECT_EQ(config->head_dim, 32);
  EXPECT_EQ(config->vocab_size, 1024);
  EXPECT_EQ(config->context_len, 131072);
  EXPECT_EQ(config->rms_norm_eps, 1e-5);
  EXPECT_FALSE(config->tie_word_embeddings);
  EXPECT_EQ(config->bos_ids, std::vector<TokenId>({1000}));
  EXPECT_EQ(config->eos_ids, std::vector<TokenId>({1001, 1008}));
  EXPECT_EQ(config->rope.theta, 500000.0);
  EXPECT_EQ(config->rope.head_dim, 32);
  EXPECT_EQ(config->rope.scaling.type, RopeScaling::Type::kLlama3);
  EXPECT_EQ(config->rope.scaling.factor, 8.0);
  EXPECT_EQ(config->rope.scaling.high_freq_factor, 4.0);
  EXPECT_EQ(config->rope.scaling.low_freq_factor, 1.0);
  EXPECT_EQ(config->rope.scaling.original_max_position_embeddings, 8192);
  EXPECT_TRUE(MakeRopeFrequencies(config->rope).ok());
}

TEST(ModelConfigTest, FillsInWhatTransformersFillsIn) {
  json file = Valid();
  for (const char* key : {"num_key_value_heads", "rope_theta", "rope_scaling",
                          "bos_token_id", "eos_token_id", "tie_word_embeddings",
                          "attention_bias", "mlp_bias", "hidden_act"}) {
    file.erase(key);
  }
  const auto config = Parse(file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->num_kv_heads, 8);
  EXPECT_EQ(config->rope.theta, 10000.0);
  EXPECT_EQ(config->rope.scaling.type, RopeScaling::Type::kDefault);
  EXPECT_TRUE(config->bos_ids.empty());
  EXPECT_TRUE(config->eos_ids.empty());
  EXPECT_FALSE(config->tie_word_embeddings);
}

TEST(ModelConfigTest, HeadDimNeedNotDivideTheHiddenSize) {
  json file = Valid();
  file["hidden_size"] = 250;
  file["head_dim"] = 64;
  const auto config = Parse(file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->head_dim, 64);
}

TEST(ModelConfigTest, ReadsOldKeyOfRopeType) {
  json file = Valid();
  file["rope_scaling"] = {{"type", "linear"}, {"factor", 4}};
  const auto config = Parse(file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope.scaling.type, RopeScaling::Type::kLinear);
  EXPECT_EQ(config->rope.scaling.factor, 4.0);
}

TEST(ModelConfigTest, ReadsYarn) {
  json file = Valid();
  file["rope_scaling"] = {{"rope_type", "yarn"},
                          {"factor", 4.0},
                          {"beta_fast", 16},
                          {"attention_factor", 1.25},
                          {"original_max_position_embeddings", 4096}};
  auto config = Parse(file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope.scaling.type, RopeScaling::Type::kYarn);
  EXPECT_EQ(config->rope.scaling.beta_fast, 16.0);
  EXPECT_EQ(config->rope.scaling.beta_slow, 1.0);
  EXPECT_EQ(config->rope.scaling.attention_factor, 1.25);
  EXPECT_EQ(config->rope.scaling.original_max_position_embeddings, 4096);
  file["rope_scaling"].erase("original_max_position_embeddings");
  config = Parse(file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope.scaling.original_max_position_embeddings, 131072);
}

TEST(ModelConfigTest, ReadsRopeParametersOfNewerFiles) {
  json file = Valid();
  file["rope_parameters"] = file["rope_scaling"];
  file["rope_parameters"]["rope_theta"] = 250000.0;
  file.erase("rope_scaling");
  EXPECT_EQ(Parse(file).status().message(),
            "config.json: rope_parameters.rope_theta: differs from the outer "
            "rope_theta");
  file.erase("rope_theta");
  const auto config = Parse(file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope.theta, 250000.0);
  EXPECT_EQ(config->rope.scaling.type, RopeScaling::Type::kLlama3);
  file["rope_scaling"] = file["rope_parameters"];
  EXPECT_EQ(Parse(file).status().message(),
            "config.json: rope_scaling: given beside rope_parameters");
}

struct BadField {
  const char* pointer;  // JSON pointer
  const char* value;    // JSON; "" removes the field
  const char* message;  // what the error says of config.json
};

class BadFieldTest : public testing::TestWithParam<BadField> {};

TEST_P(BadFieldTest, IsRefusedByName) {
  const BadField& bad = GetParam();
  json file = Valid();
  if (*bad.value == '\0') {
    file = file.patch({{{"op", "remove"}, {"path", bad.pointer}}});
  } else {
    file[json::json_pointer(bad.pointer)] = json::parse(bad.value);
  }
  const auto config = Parse(file);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(std::string(config.status().message()),
            std::string("config.json: ") + bad.message);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadFieldTest,
    testing::Values(
        BadField{"/architectures", "", "architectures: missing"},
        BadField{"/architectures", "[]",
                 "architectures: want exactly one architecture"},
        BadField{"/architectures/0", "\"MistralForCausalLM\"",
                 "architectures[0]: \"MistralForCausalLM\" is not supported, "
                 "only LlamaForCausalLM"},
        BadField{"/model_type", "\"qwen2\"",
                 "model_type: \"qwen2\" is not supported, only \"llama\""},
        BadField{"/attention_bias", "true",
                 "attention_bias: true is not supported"},
        BadField{"/mlp_bias", "true", "mlp_bias: true is not supported"},
        BadField{"/hidden_act", "\"gelu\"",
                 "hidden_act: \"gelu\" is not supported"},
        BadField{"/quantization_config", "{}",
                 "quantization_config: an object is not supported"},
        BadField{"/sliding_window", "4096",
                 "sliding_window: 4096 is not supported"},
        BadField{"/hidden_size", "", "hidden_size: missing"},
        BadField{"/hidden_size", "null",
                 "hidden_size: want an integer, got null"},
        BadField{"/hidden_size", "0", "hidden_size: want 1 to 1048576, got 0"},
        BadField{"/hidden_size", "9223372036854775807",
                 "hidden_size: want 1 to 1048576, got 9223372036854775807"},
        BadField{"/hidden_size", "100",
                 "hidden_size: 100 is no multiple of num_attention_heads, and "
                 "head_dim is missing"},
        BadField{"/intermediate_size", "-1",
                 "intermediate_size: want 1 to 1048576, got -1"},
        BadField{"/num_hidden_layers", "1e9",
                 "num_hidden_layers: want an integer, got 1000000000.0"},
        BadField{"/num_hidden_layers", "2000",
                 "num_hidden_layers: want 1 to 1024, got 2000"},
        BadField{"/num_key_value_heads", "3",
                 "num_key_value_heads: 3 does not divide num_attention_heads "
                 "8"},
        BadField{"/num_attention_heads", "64",
                 "num_key_value_heads: num_attention_heads is 64, more than 16 "
                 "times 2"},
        BadField{"/num_key_value_heads", "0",
                 "num_key_value_heads: want 1 to 1024, got 0"},
        BadField{"/head_dim", "33",
                 "head_dim: want even and at most 256, got 33"},
        BadField{"/head_dim", "512", "head_dim: want 2 to 256, got 512"},
        BadField{"/vocab_size", "\"big\"",
                 "vocab_size: want an integer, got \"big\""},
        BadField{"/max_position_embeddings", "0",
                 "max_position_embeddings: want 1 to 16777216, got 0"},
        BadField{"/rms_norm_eps", "0",
                 "rms_norm_eps: want more than 0 and below 1, got 0"},
        BadField{"/rms_norm_eps", "", "rms_norm_eps: missing"},
        BadField{"/rope_theta", "1.0", "rope_theta: want more than 1, got 1.0"},
        BadField{"/tie_word_embeddings", "1",
                 "tie_word_embeddings: want true or false, got 1"},
        BadField{"/bos_token_id", "-1", "bos_token_id: want 0 to 1023, got -1"},
        BadField{"/eos_token_id", "[1, 1024]",
                 "eos_token_id[1]: want 0 to 1023, got 1024"},
        BadField{"/rope_scaling", "8", "rope_scaling: want an object, got 8"},
        BadField{"/rope_scaling/rope_type", "\"longrope\"",
                 "rope_scaling.rope_type: rope type \"longrope\" is not "
                 "supported"},
        BadField{"/rope_scaling/rope_type", "", "rope_scaling.type: missing"},
        BadField{"/rope_scaling/type", "\"linear\"",
                 "rope_scaling: rope_type and type differ"},
        BadField{"/rope_scaling/factor", "", "rope_scaling.factor: missing"},
        BadField{"/rope_scaling/factor", "0.5",
                 "rope_scaling.factor: want at least 1, got 0.5"},
        BadField{"/rope_scaling/high_freq_factor", "1.0",
                 "rope_scaling.high_freq_factor: must exceed "
                 "low_freq_factor"},
        BadField{"/rope_scaling/low_freq_factor", "0",
                 "rope_scaling.low_freq_factor: want more than 0, got 0"},
        BadField{"/rope_scaling/original_max_position_embeddings", "0",
                 "rope_scaling.original_max_position_embeddings: want at "
                 "least 1, got 0"},
        BadField{"/rope_scaling/faktor", "2",
                 "rope_scaling: unknown key \"faktor\" for its type"}));

TEST(ModelConfigTest, TellsWrongFromUnsupported) {
  json file = Valid();
  file["mlp_bias"] = true;
  EXPECT_EQ(Parse(file).status().code(), absl::StatusCode::kUnimplemented);
  file = Valid();
  file["hidden_size"] = 0;
  EXPECT_EQ(Parse(file).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseModelConfig("{").status().message(),
            "config.json: not valid JSON");
  EXPECT_EQ(ParseModelConfig("[]").status().message(),
            "config.json: want an object, got an array");
}

TEST(ModelConfigTest, MissingFileIsNotFound) {
  EXPECT_EQ(LoadModelConfig(testing::TempDir() + "/nowhere").status().code(),
            absl::StatusCode::kNotFound);
}

// Whatever a few changed bytes make of the file, it is read or refused.
TEST(ModelConfigTest, MutatedFilesDoNoHarm) {
  std::mt19937 random(11);
  const std::string valid = Valid().dump();
  int accepted = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string text = valid;
    const int num_changes = 1 + static_cast<int>(random() % 3);
    for (int change = 0; change < num_changes; ++change) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        default:
          text.insert(at, 1, "0123456789-.eE\"{}[],:"[random() % 21]);
      }
      if (text.empty()) text = "{";
    }
    const auto config = ParseModelConfig(text);
    if (!config.ok()) continue;
    ++accepted;
    EXPECT_TRUE(MakeRopeFrequencies(config->rope).ok()) << text;
    EXPECT_EQ(config->num_query_heads % config->num_kv_heads, 0);
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace seer
