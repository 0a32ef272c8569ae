#include "engine/weights/weight_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/safetensors/dtype.h"
#include "base/safetensors/safetensors.h"
#include "base/safetensors/safetensors_writer.h"
#include "engine/weights/model_config.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {
namespace {

constexpr char kNorm[] = "model.norm.weight";
constexpr char kQuery[] = "model.layers.1.self_attn.q_proj.weight";

// A checkpoint in memory, to be changed and written.
struct Tensor {
  SafetensorsDtype dtype = SafetensorsDtype::kBF16;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;
};
using Checkpoint = std::map<std::string, Tensor>;

class WeightFilesTest : public testing::Test {
 protected:
  WeightFilesTest() {
    static int counter = 0;
    folder_ =
        absl::StrCat(testing::TempDir(), "/weights", getpid(), "_", counter++);
    mkdir(folder_.c_str(), 0700);
    EXPECT_TRUE(WriteTinyLlama(folder_, TinyLlamaOptions()).ok());
    config_ = *LoadModelConfig(folder_);
  }

  std::string Path(const std::string& name) const {
    return folder_ + "/" + name;
  }

  absl::StatusOr<std::unique_ptr<const WeightFiles>> Open() const {
    return WeightFiles::Open(folder_, config_);
  }

  std::string ErrorOfOpen() const {
    const auto weights = Open();
    return weights.ok() ? "opened" : std::string(weights.status().message());
  }

  Checkpoint Read() const {
    const auto file = SafetensorsFile::Open(Path("model.safetensors"));
    Checkpoint checkpoint;
    for (const auto& [name, tensor] : file->tensors()) {
      checkpoint[name] = {tensor.dtype,
                          tensor.shape,
                          {tensor.bytes.begin(), tensor.bytes.end()}};
    }
    return checkpoint;
  }

  void Write(const Checkpoint& checkpoint,
             const std::string& name = "model.safetensors") const {
    SafetensorsContents contents;
    for (const auto& [tensor_name, tensor] : checkpoint) {
      contents.tensors[tensor_name] = {tensor.dtype, tensor.shape,
                                       tensor.bytes};
    }
    const absl::Status status = WriteSafetensors(Path(name), contents);
    ASSERT_TRUE(status.ok()) << status;
  }

  void Change(const std::function<void(Checkpoint*)>& change) const {
    Checkpoint checkpoint = Read();
    change(&checkpoint);
    Write(checkpoint);
  }

  std::string ReadBytes(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
  }
  void WriteBytes(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }

  // Splits the checkpoint in two shards and writes an index.
  void Shard() const {
    Checkpoint first = Read();
    Checkpoint second;
    std::string map;
    for (const char* name : {kNorm, kQuery}) {
      second.insert(first.extract(name));
    }
    Write(first, "a.safetensors");
    Write(second, "b.safetensors");
    for (const auto& [name, tensor] : first) {
      absl::StrAppend(&map, "\"", name, "\": \"a.safetensors\",");
    }
    absl::StrAppend(&map, "\"", kNorm, "\": \"b.safetensors\", \"", kQuery,
                    "\": \"b.safetensors\"");
    WriteBytes("model.safetensors.index.json",
               "{\"metadata\": {}, \"weight_map\": {" + map + "}}");
    unlink(Path("model.safetensors").c_str());
  }

  std::string folder_;
  ModelConfig config_;
};

TEST_F(WeightFilesTest, OffersEveryTensorOfTheModel) {
  const auto weights = Open();
  ASSERT_TRUE(weights.ok()) << weights.status();
  // Nine a layer, the embedding and the last norm.
  EXPECT_EQ((*weights)->weights().size(), 2u * 9 + 2);
  const Weight& query = (*weights)->Get(kQuery);
  EXPECT_EQ(query.name, kQuery);
  EXPECT_EQ(query.dtype, WeightDType::kBFloat16);
  EXPECT_EQ(query.shape, std::vector<int64_t>({64, 64}));
  EXPECT_EQ(query.num_values, 64 * 64);
  EXPECT_EQ(query.num_bytes, 2 * 64 * 64);
  const Checkpoint checkpoint = Read();
  EXPECT_EQ(std::memcmp(query.values, checkpoint.at(kQuery).bytes.data(),
                        query.num_bytes),
            0);
  EXPECT_TRUE((*weights)->CheckFinite().ok());
  int64_t bytes = 0;
  for (const auto& [name, tensor] : checkpoint) bytes += tensor.bytes.size();
  EXPECT_EQ((*weights)->num_bytes(), bytes);
}

TEST_F(WeightFilesTest, ReadsShards) {
  const std::string whole(
      static_cast<const char*>((*Open())->Get(kQuery).values), 2 * 64 * 64);
  Shard();
  const auto weights = Open();
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ((*weights)->weights().size(), 2u * 9 + 2);
  EXPECT_EQ(
      std::memcmp((*weights)->Get(kQuery).values, whole.data(), whole.size()),
      0);
}

TEST_F(WeightFilesTest, TakesUntiedHeadsAndWhatNothingReads) {
  Change([](Checkpoint* checkpoint) {
    (*checkpoint)["lm_head.weight"] =
        (*checkpoint)["model.embed_tokens.weight"];
    (*checkpoint)["model.layers.0.self_attn.rotary_emb.inv_freq"] = {
        SafetensorsDtype::kF32, {8}, std::vector<uint8_t>(32)};
  });
  auto weights = Open();
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ((*weights)->weights().count("lm_head.weight"), 0u);
  config_.tie_word_embeddings = false;
  weights = Open();
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ((*weights)->weights().count("lm_head.weight"), 1u);
}

TEST_F(WeightFilesTest, NamesTheTensorThatIsWrong) {
  const Checkpoint valid = Read();
  const auto error_after = [&](const std::function<void(Checkpoint*)>& change) {
    Checkpoint checkpoint = valid;
    change(&checkpoint);
    Write(checkpoint);
    return ErrorOfOpen();
  };
  EXPECT_EQ(error_after([](Checkpoint* c) { c->erase(kNorm); }),
            "tensor model.norm.weight [64] is missing");
  EXPECT_EQ(error_after([](Checkpoint* c) { (*c)["surprise"] = (*c)[kNorm]; }),
            "tensor \"surprise\" is not part of the model in config.json");
  EXPECT_EQ(error_after([](Checkpoint* c) {
              (*c)[kQuery].shape = {32, 128};
            }),
            absl::StrCat("tensor ", kQuery,
                         " has shape [32, 128], config.json asks for "
                         "[64, 64]"));
  EXPECT_EQ(
      error_after([](Checkpoint* c) {
        (*c)[kNorm] = {SafetensorsDtype::kI16, {64}, std::vector<uint8_t>(128)};
      }),
      "tensor model.norm.weight has dtype I16, want BF16, F16 or F32");
}

TEST_F(WeightFilesTest, ConfigThatContradictsTheWeights) {
  const ModelConfig valid = config_;
  config_.num_layers = 3;
  EXPECT_EQ(ErrorOfOpen(),
            "tensor model.layers.2.input_layernorm.weight [64] is missing");
  config_.num_layers = 1;
  EXPECT_EQ(ErrorOfOpen(),
            "tensor \"model.layers.1.input_layernorm.weight\" is not part of "
            "the model in config.json");
  config_ = valid;
  config_.num_kv_heads = 4;
  EXPECT_EQ(ErrorOfOpen(),
            "tensor model.layers.0.self_attn.k_proj.weight has shape "
            "[32, 64], config.json asks for [64, 64]");
  config_ = valid;
  config_.tie_word_embeddings = false;
  EXPECT_EQ(ErrorOfOpen(), "tensor lm_head.weight [268, 64] is missing");
}

TEST_F(WeightFilesTest, MissingFiles) {
  unlink(Path("model.safetensors").c_str());
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(ErrorOfOpen(),
                                "has neither model.safetensors nor "
                                "model.safetensors.index.json"));
}

TEST_F(WeightFilesTest, BrokenFilesAreRefused) {
  const std::string valid = ReadBytes("model.safetensors");
  for (const size_t size :
       {size_t{0}, size_t{7}, size_t{100}, valid.size() - 1}) {
    WriteBytes("model.safetensors", valid.substr(0, size));
    const auto weights = Open();
    ASSERT_FALSE(weights.ok()) << size;
    EXPECT_TRUE(
        absl::StrContains(weights.status().message(), "model.safetensors"))
        << weights.status();
  }
  WriteBytes("model.safetensors", valid + "more");
  EXPECT_TRUE(absl::StrContains(ErrorOfOpen(), "4 bytes after the last tensor"))
      << ErrorOfOpen();
}

TEST_F(WeightFilesTest, BrokenIndexesAreRefused) {
  Shard();
  const std::string valid = ReadBytes("model.safetensors.index.json");
  const std::string name = "model.safetensors.index.json";
  const auto error_of = [&](const std::string& from, const std::string& to) {
    std::string text = valid;
    text.replace(text.find(from), from.size(), to);
    WriteBytes(name, text);
    return ErrorOfOpen();
  };
  for (const char* bad : {"../b.safetensors", "/b.safetensors",
                          "x/b.safetensors", ".safetensors", "b.bin", ""}) {
    EXPECT_TRUE(
        absl::StrContains(error_of("b.safetensors", bad),
                          "want a .safetensors file in the same folder"))
        << bad;
  }
  EXPECT_TRUE(absl::StrContains(error_of("b.safetensors", "a.safetensors"),
                                "is not in a.safetensors, where"));
  EXPECT_TRUE(absl::StrContains(
      error_of(absl::StrCat("\"", kNorm, "\": \"b.safetensors\", "), ""),
      "is in b.safetensors, where model.safetensors.index.json does not"));
  EXPECT_TRUE(
      absl::StrContains(error_of("weight_map", "map"), "weight_map: missing"));
  EXPECT_TRUE(absl::StrContains(error_of("\"a.safetensors\"", "7"),
                                "want a string, got 7"));
  WriteBytes(name, valid);
  unlink(Path("b.safetensors").c_str());
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(ErrorOfOpen(), "b.safetensors"));
}

TEST_F(WeightFilesTest, ValuesThatAreNotFiniteAreNamed) {
  const Checkpoint valid = Read();
  struct Case {
    SafetensorsDtype dtype;
    uint32_t bits;
    bool finite;
  };
  for (const Case& c : {
           Case{SafetensorsDtype::kBF16, 0x7FC0, false},  // NaN
           Case{SafetensorsDtype::kBF16, 0xFF80, false},  // -infinity
           Case{SafetensorsDtype::kBF16, 0x7F7F, true},   // largest
           Case{SafetensorsDtype::kF16, 0x7C00, false},   // infinity
           Case{SafetensorsDtype::kF16, 0xFE00, false},   // NaN
           Case{SafetensorsDtype::kF16, 0x7BFF, true},    // largest
           Case{SafetensorsDtype::kF32, 0x7F800001, false},
           Case{SafetensorsDtype::kF32, 0x7F7FFFFF, true},
       }) {
    for (const size_t index : {size_t{0}, size_t{63}}) {
      Checkpoint checkpoint = valid;
      const size_t size = SafetensorsDtypeSize(c.dtype);
      Tensor& norm = checkpoint[kNorm];
      norm = {c.dtype, {64}, std::vector<uint8_t>(64 * size)};
      std::memcpy(norm.bytes.data() + index * size, &c.bits, size);
      Write(checkpoint);
      const auto weights = Open();
      ASSERT_TRUE(weights.ok()) << weights.status();
      const absl::Status status = (*weights)->CheckFinite();
      EXPECT_EQ(status.ok(), c.finite) << status;
      if (c.finite) continue;
      EXPECT_EQ(status.message(),
                absl::StrCat("tensor model.norm.weight has a value that is "
                             "not finite, at ",
                             index, " of 64"));
    }
  }
}

// A few changed bytes in the header: refused, or the same tensors as before.
TEST_F(WeightFilesTest, MutatedHeadersDoNoHarm) {
  const std::string valid = ReadBytes("model.safetensors");
  uint64_t header_len = 0;
  std::memcpy(&header_len, valid.data(), sizeof(header_len));
  std::mt19937 random(5);
  for (int i = 0; i < 500; ++i) {
    std::string bytes = valid;
    for (int change = 0; change < 2; ++change) {
      bytes[random() % (8 + header_len)] =
          "0123456789[],:\"{}-e\xFF"[random() % 20];
    }
    WriteBytes("model.safetensors", bytes);
    const auto weights = Open();
    if (!weights.ok()) continue;
    EXPECT_EQ((*weights)->weights().size(), 2u * 9 + 2);
    EXPECT_TRUE((*weights)->CheckFinite().ok());
  }
}

}  // namespace
}  // namespace seer
