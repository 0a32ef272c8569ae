#include "tests/testing/engine/tiny/tiny_llama.h"

#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "base/safetensors/safetensors.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

std::string NewFolder(const std::string& name) {
  const std::string folder = testing::TempDir() + name;
  mkdir(folder.c_str(), 0700);
  return folder;
}

nlohmann::json ReadJson(const std::string& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

std::string ReadText(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(TinyLlamaTest, WritesAFolderWhoseFilesAgree) {
  const std::string folder = NewFolder("agree");
  ASSERT_TRUE(WriteTinyLlama(folder, TinyLlamaOptions()).ok());
  const nlohmann::json config = ReadJson(folder + "/config.json");
  EXPECT_EQ(config["architectures"][0], "LlamaForCausalLM");
  EXPECT_EQ(config["vocab_size"], kTinyLlamaVocabSize);
  const nlohmann::json tokenizer = ReadJson(folder + "/tokenizer.json");
  EXPECT_EQ(tokenizer["model"]["vocab"].size(), size_t{kTinyLlamaVocabSize});
  EXPECT_EQ(tokenizer["model"]["vocab"]["\u0100"], kTinyLlamaFirstByte);
  EXPECT_EQ(tokenizer["model"]["vocab"]["\u00ff"], kTinyLlamaFirstByte + 255);
  EXPECT_EQ(tokenizer["model"]["vocab"]["a"], kTinyLlamaFirstByte + 'a');
  EXPECT_EQ(tokenizer["added_tokens"][2]["content"], "<|im_end|>");

  const auto file = SafetensorsFile::Open(folder + "/model.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors().size(), 2u + 2 * 9);
  EXPECT_EQ(file->Find("lm_head.weight"), nullptr);
}

TEST(TinyLlamaTest, TheSeedDecidesTheWeights) {
  const std::string folder = NewFolder("seed");
  TinyLlamaOptions options;
  std::string files[3];
  const uint64_t seeds[3] = {5, 5, 6};
  for (int i = 0; i < 3; ++i) {
    options.seed = seeds[i];
    ASSERT_TRUE(WriteTinyLlama(folder, options).ok());
    files[i] = ReadText(folder + "/model.safetensors");
  }
  EXPECT_TRUE(files[0] == files[1]);
  EXPECT_FALSE(files[0] == files[2]);
}

TEST(TinyLlamaTest, OptionsShapeTheTensors) {
  const std::string folder = NewFolder("options");
  TinyLlamaOptions options;
  options.tie_word_embeddings = false;
  options.store_float32 = true;
  options.num_layers = 1;
  ASSERT_TRUE(WriteTinyLlama(folder, options).ok());
  const auto file = SafetensorsFile::Open(folder + "/model.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  const SafetensorsTensor* head = file->Find("lm_head.weight");
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(head->dtype, SafetensorsDtype::kF32);
  EXPECT_EQ(head->shape, (std::vector<int64_t>{kTinyLlamaVocabSize, 64}));
}

}  // namespace
}  // namespace seer
