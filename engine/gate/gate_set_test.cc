#include "engine/gate/gate_set.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file/mapped_file.h"
#include "base/hash/sha256.h"
#include "base/safetensors/safetensors.h"
#include "base/safetensors/safetensors_writer.h"
#include "engine/errors.h"
#include "engine/gate/gate_design.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/dtype.h"

namespace seer {
namespace {

using ::testing::HasSubstr;

constexpr int32_t kLayers = 2;
constexpr int32_t kQueryHeads = 4;
constexpr int32_t kKvHeads = 2;
constexpr int32_t kHeadDim = 8;

GateSetTarget Target(DType dtype) {
  GateSetTarget target;
  target.shape = {kLayers, kQueryHeads, kKvHeads, kHeadDim, dtype};
  target.model_id = "tiny";
  target.fingerprint = "f00d";
  return target;
}

std::string Linear(int layer, const std::string& which) {
  return absl::StrCat("model.layers.", layer,
                      ".self_attn.attn_gate.mask_linear_", which, ".weight");
}

// A gate set file in the making.
class File {
 public:
  explicit File(const std::string& design) {
    contents_.metadata = {{"format_version", "1"},
                          {"design", design},
                          {"block_size", "64"},
                          {"fingerprint", "f00d"}};
  }

  // Value i of the tensor is first + i / 1024.
  void Add(const std::string& name, std::vector<int64_t> shape,
           float first = 0.0f) {
    size_t size = 1;
    for (const int64_t dim : shape) size *= dim;
    std::vector<float> values(size);
    for (size_t i = 0; i < size; ++i) values[i] = first + i / 1024.0f;
    Set(name, shape, values);
  }
  void Set(const std::string& name, std::vector<int64_t> shape,
           const std::vector<float>& values) {
    std::vector<uint8_t> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    Store(name, SafetensorsDtype::kF32, shape, bytes);
  }
  void Store(const std::string& name, SafetensorsDtype dtype,
             std::vector<int64_t> shape, const std::vector<uint8_t>& bytes) {
    storage_.push_back(bytes);
    contents_.tensors[name] = {dtype, shape, storage_.back()};
  }
  void AddSingle(int64_t key_pools) {
    for (int l = 0; l < kLayers; ++l) {
      Add(Linear(l, "k"), {kQueryHeads, key_pools * kHeadDim, kHeadDim}, l);
    }
  }
  void AddDouble(int64_t query_pools, int64_t key_pools) {
    for (int l = 0; l < kLayers; ++l) {
      Add(Linear(l, "q"), {kQueryHeads, query_pools * kHeadDim, kHeadDim}, l);
      Add(Linear(l, "k"), {kKvHeads, key_pools * kHeadDim, kHeadDim}, l + 10);
    }
  }
  void AddProfile() {
    Set("budget_profile_densities", {2}, {0.25f, 0.5f});
    Set("budget_profile", {kLayers, kQueryHeads, 2},
        std::vector<float>(kLayers * kQueryHeads * 2, 0.5f));
  }

  SafetensorsContents& contents() { return contents_; }

  std::string Write() const {
    const std::string path = testing::TempDir() + "gate_set.safetensors";
    EXPECT_TRUE(WriteSafetensors(path, contents_).ok());
    return path;
  }
  absl::StatusOr<std::shared_ptr<const GateSet>> Load(
      DType dtype = DType::kFloat32) const {
    return LoadGateSet(Write(), Target(dtype));
  }

 private:
  SafetensorsContents contents_;
  std::deque<std::vector<uint8_t>> storage_;
};

TEST(GateSetTest, SingleLinear) {
  File file("Qavg_Kmaxminavg");
  file.AddSingle(3);
  const auto set = file.Load();
  ASSERT_TRUE(set.ok()) << set.status();
  const Gate& gate = *(*set)->gate;
  EXPECT_EQ(gate.design(), "Qavg_Kmaxminavg");
  EXPECT_EQ(gate.num_entry_heads(), kQueryHeads);
  EXPECT_FALSE((*set)->profile.has_value());
  const GateLayer layer = gate.layer(1);
  EXPECT_FALSE(layer.mean_pool);
  EXPECT_EQ(layer.linear_q, nullptr);
  EXPECT_EQ(layer.key_pools.size(), 3);
  const float* weights = static_cast<const float*>(layer.linear_k);
  EXPECT_EQ(weights[0], 1.0f);
  EXPECT_EQ(weights[5], 1.0f + 5 / 1024.0f);
}

TEST(GateSetTest, DoubleLinearInBFloat16) {
  File file("Qmaxmin_Kavg");
  file.AddDouble(2, 1);
  const auto set = file.Load(DType::kBFloat16);
  ASSERT_TRUE(set.ok()) << set.status();
  const Gate& gate = *(*set)->gate;
  EXPECT_EQ(gate.num_entry_heads(), kKvHeads);
  const GateLayer layer = gate.layer(0);
  ASSERT_NE(layer.linear_q, nullptr);
  const BFloat16* key = static_cast<const BFloat16*>(layer.linear_k);
  EXPECT_EQ(key[3].bits, BFloat16(10.0f + 3 / 1024.0f).bits);
}

TEST(GateSetTest, ReadsBFloat16Files) {
  File file("Qmax_Kmin");
  for (int l = 0; l < kLayers; ++l) {
    const BFloat16 value(1.5f);
    std::vector<uint8_t> bytes;
    for (int i = 0; i < kQueryHeads * kHeadDim * kHeadDim; ++i) {
      bytes.push_back(value.bits & 0xFF);
      bytes.push_back(value.bits >> 8);
    }
    file.Store(Linear(l, "k"), SafetensorsDtype::kBF16,
               {kQueryHeads, kHeadDim, kHeadDim}, bytes);
  }
  const auto set = file.Load();
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(static_cast<const float*>((*set)->gate->layer(0).linear_k)[7],
            1.5f);
}

TEST(GateSetTest, OneQueryPoolMayBeDoubleLinear) {
  File file("Qavg_Kavg");
  file.AddDouble(1, 1);
  const auto set = file.Load();
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_NE((*set)->gate->layer(0).linear_q, nullptr);
}

TEST(GateSetTest, EveryDesignLoads) {
  for (const GateDesign& design : AllGateDesigns()) {
    File file(design.Name());
    if (design.query_pools.size() == 1) {
      file.AddSingle(design.key_pools.size());
    } else {
      file.AddDouble(design.query_pools.size(), design.key_pools.size());
    }
    const auto set = file.Load();
    ASSERT_TRUE(set.ok()) << set.status();
    EXPECT_EQ((*set)->gate->design(), design.Name());
  }
}

TEST(GateSetTest, NameAndVersionComeFromTheBytes) {
  File file("Qavg_Kavg");
  file.AddSingle(1);
  file.AddProfile();
  const std::string path = file.Write();
  const auto set = LoadGateSet(path, Target(DType::kFloat32));
  ASSERT_TRUE(set.ok()) << set.status();
  const auto bytes = MappedFile::Open(path);
  ASSERT_TRUE(bytes.ok());
  const std::string digest = Sha256Hex(bytes->bytes());
  EXPECT_EQ((*set)->version, digest);
  EXPECT_EQ((*set)->name,
            absl::StrCat("models/tiny/gateSets/sha256-", digest.substr(0, 12)));
  ASSERT_TRUE((*set)->profile.has_value());
  EXPECT_DOUBLE_EQ((*set)->profile->HeadDensity(1, 3, 0.3), 0.5);
}

TEST(GateSetTest, ProvenanceIsRead) {
  File file("Qavg_Kavg");
  file.AddSingle(1);
  const std::string digest(64, 'a');
  for (const auto& [key, value] : std::map<std::string, std::string>{
           {"target", "mass"},
           {"loss", "kl_reference"},
           {"dataset_sha256", digest},
           {"dataset_tokens", "9223372036854775807"},
           {"steps", "500"},
           {"seed", "18446744073709551615"},
           {"tool_version", "seerserve 0.1"},
           {"created", "2025-01-31T12:00:00Z"},
           {"imported_base_model", "not read"}}) {
    file.contents().metadata[key] = value;
  }
  auto set = file.Load();
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ((*set)->provenance.target, "mass");
  EXPECT_EQ((*set)->provenance.loss, "kl_reference");
  EXPECT_EQ((*set)->provenance.dataset_sha256, digest);
  EXPECT_EQ((*set)->provenance.dataset_tokens, INT64_MAX);
  EXPECT_EQ((*set)->provenance.steps, 500);
  EXPECT_EQ((*set)->provenance.seed, UINT64_MAX);
  EXPECT_EQ((*set)->provenance.tool_version, "seerserve 0.1");
  const auto bytes = MappedFile::Open(file.Write());
  EXPECT_EQ((*set)->num_bytes, static_cast<int64_t>(bytes->bytes().size()));
  // As tools/models/import_gate.py writes it.
  for (const char* key : {"target", "loss", "dataset_sha256", "dataset_tokens",
                          "steps", "seed"}) {
    file.contents().metadata[key] = "unknown";
  }
  set = file.Load();
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ((*set)->provenance.target, "");
  EXPECT_EQ((*set)->provenance.loss, "");
  EXPECT_EQ((*set)->provenance.dataset_sha256, "");
  EXPECT_EQ((*set)->provenance.dataset_tokens, 0);
  EXPECT_EQ((*set)->provenance.steps, 0);
  EXPECT_EQ((*set)->provenance.seed, 0u);
}

TEST(GateSetTest, ProvenanceThatCannotBeIsRefusedByName) {
  File file("Qavg_Kavg");
  file.AddSingle(1);
  const std::pair<const char*, std::string> cases[] = {
      {"target", "mean"},
      {"loss", "KL"},
      {"dataset_sha256", std::string(64, 'A')},
      {"dataset_sha256", std::string(63, 'a')},
      {"dataset_tokens", "-1"},
      {"dataset_tokens", "9223372036854775808"},
      {"steps", " 5"},
      {"steps", ""},
      {"steps", "1e3"},
      {"seed", "18446744073709551616"},
      {"seed", "+1"},
      {"tool_version", "two\nlines"},
      {"tool_version", std::string(257, 'v')},
      {"created", "yesterday"}};
  for (const auto& [key, value] : cases) {
    File bad = file;
    bad.contents().metadata[key] = value;
    const absl::Status status = bad.Load().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << value;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("metadata field ", key, " is \"")));
    EXPECT_LT(status.message().size(), 250u);
  }
}

TEST(GateSetTest, AFileCutShortIsNoGateSet) {
  File file("Qavg_Kavg");
  file.AddSingle(1);
  const std::string path = file.Write();
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  for (const off_t size : {info.st_size - 1, off_t{100}, off_t{7}, off_t{0}}) {
    ASSERT_EQ(truncate(path.c_str(), size), 0);
    EXPECT_EQ(LoadGateSet(path, Target(DType::kFloat32)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << size;
  }
}

TEST(GateSetTest, MeanPoolHoldsOnlyAProfile) {
  File file("mean_pool");
  file.AddProfile();
  const auto set = file.Load();
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_TRUE((*set)->gate->layer(0).mean_pool);
  EXPECT_EQ((*set)->gate->num_entry_heads(), kKvHeads);
  EXPECT_TRUE((*set)->profile.has_value());
  file.AddSingle(1);
  EXPECT_THAT(std::string(file.Load().status().message()),
              HasSubstr("does not belong"));
  EXPECT_THAT(std::string(File("mean_pool").Load().status().message()),
              HasSubstr("tensor budget_profile is missing"));
}

TEST(GateSetTest, OraclesLoadWhereTheyAreAllowed) {
  GateSetTarget target = Target(DType::kFloat32);
  for (const char* const design : {"oracle_max", "oracle_mass"}) {
    File file(design);
    file.AddProfile();
    const std::string path = file.Write();
    const absl::Status refused = LoadGateSet(path, target).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()), HasSubstr(design));
    ASSERT_TRUE(ReasonOf(refused).has_value()) << refused;
    EXPECT_EQ(ReasonOf(refused)->reason, "ORACLE_NOT_ALLOWED");
    GateSetTarget allows = target;
    allows.allow_oracle_gates = true;
    const auto set = LoadGateSet(path, allows);
    ASSERT_TRUE(set.ok()) << set.status();
    EXPECT_EQ((*set)->gate->design(), design);
    EXPECT_EQ((*set)->gate->num_entry_heads(), 0);
    EXPECT_TRUE((*set)->profile.has_value());
  }
}

TEST(GateSetTest, BuiltInMeanPool) {
  const auto set = BuiltinMeanPool(Target(DType::kFloat32).shape);
  EXPECT_EQ(set->name, "mean_pool");
  EXPECT_EQ(set->version, "");
  EXPECT_FALSE(set->profile.has_value());
  EXPECT_TRUE(set->gate->layer(1).mean_pool);
}

struct BadFile {
  const char* what;
  std::function<void(File&)> spoil;
  absl::StatusCode code;
  const char* message;
};

class BadGateSetTest : public testing::TestWithParam<BadFile> {};

TEST_P(BadGateSetTest, IsRefusedByName) {
  File file("Qavg_Kmaxmin");
  file.AddSingle(2);
  file.AddProfile();
  ASSERT_TRUE(file.Load().ok());
  GetParam().spoil(file);
  const absl::Status status = file.Load().status();
  EXPECT_EQ(status.code(), GetParam().code);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

INSTANTIATE_TEST_SUITE_P(
    Files, BadGateSetTest,
    testing::Values(
        BadFile{"another_model",
                [](File& f) { f.contents().metadata["fingerprint"] = "beef"; },
                absl::StatusCode::kFailedPrecondition,
                "fingerprint is \"beef\""},
        BadFile{"no_fingerprint",
                [](File& f) { f.contents().metadata.erase("fingerprint"); },
                kInvalid, "metadata field fingerprint is missing"},
        BadFile{"block_size",
                [](File& f) { f.contents().metadata["block_size"] = "32"; },
                kInvalid, "block_size is \"32\""},
        BadFile{"format_version",
                [](File& f) { f.contents().metadata["format_version"] = "9"; },
                kInvalid, "format_version is \"9\""},
        BadFile{"design",
                [](File& f) { f.contents().metadata["design"] = "Qsum_Kavg"; },
                kInvalid, "no gate design \"Qsum_Kavg\""},
        BadFile{"missing_layer",
                [](File& f) { f.contents().tensors.erase(Linear(1, "k")); },
                kInvalid, "layers.1.self_attn.attn_gate.mask_linear_k"},
        BadFile{"unknown_tensor", [](File& f) { f.Add("extra", {2}); },
                kInvalid, "tensor extra does not belong"},
        BadFile{"layer_past_the_end",
                [](File& f) {
                  f.Add(Linear(2, "k"), {4, 16, 8});
                },
                kInvalid, "model.layers.2"},
        BadFile{"hidden_size",
                [](File& f) {
                  f.Add(Linear(0, "k"), {4, 16, 4});
                },
                kInvalid, "has shape [4, 16, 4], expected [4, 16, 8]"},
        BadFile{"query_weight_in_one_layer",
                [](File& f) {
                  f.Add(Linear(1, "q"), {4, 8, 8});
                },
                kInvalid, "layers.1.self_attn.attn_gate.mask_linear_q"},
        BadFile{"nan",
                [](File& f) {
                  std::vector<float> values(4 * 16 * 8, 0.0f);
                  values[77] = std::nanf("");
                  f.Set(Linear(1, "k"), {4, 16, 8}, values);
                },
                kInvalid, "mask_linear_k.weight, value 77 is not finite"},
        BadFile{"dtype",
                [](File& f) {
                  f.Store(Linear(0, "k"), SafetensorsDtype::kF16, {4, 16, 8},
                          std::vector<uint8_t>(4 * 16 * 8 * 2));
                },
                kInvalid, "has dtype F16"},
        BadFile{"profile_alone",
                [](File& f) {
                  f.contents().tensors.erase("budget_profile_densities");
                },
                kInvalid, "tensor budget_profile_densities is missing"},
        BadFile{"profile_shape",
                [](File& f) {
                  f.Add("budget_profile", {2, 3, 2});
                },
                kInvalid, "tensor budget_profile has shape [2, 3, 2]"},
        BadFile{"profile_order",
                [](File& f) {
                  f.Set("budget_profile_densities", {2}, {0.5f, 0.25f});
                },
                kInvalid, "budget_profile_densities[1]"}),
    [](const testing::TestParamInfo<BadFile>& info) {
      return std::string(info.param.what);
    });

TEST(GateSetTest, AMissingFileIsNotFound) {
  const auto set =
      LoadGateSet(testing::TempDir() + "no_such_file", Target(DType::kFloat32));
  EXPECT_EQ(set.status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace seer
