// The golden gates by way of a released file: written as SeerAttention writes
// them, imported by tools/models/import_gate.py and loaded as a server would,
// they are the same values and give the golden logits.
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/gate/gate.h"
#include "engine/gate/gate_set.h"
#include "engine/weights/fingerprint.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "gtest/gtest.h"
#include "kernels/dtype.h"
#include "tests/golden_tests/gate_checks.h"
#include "tests/golden_tests/golden_layer.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/golden_file.h"
#include "tests/testing/kernels/cases/scored_gate.h"

namespace seer {
namespace {

constexpr int32_t kNumLayers = 2;

std::string MakeFolder(const std::string& name) {
  const std::string folder = absl::StrCat(testing::TempDir(), "/", name);
  mkdir(folder.c_str(), 0700);
  return folder;
}

// A base model of the golden layer's shape, in a new folder.
std::string MakeBaseModel(const GoldenLayer& layer) {
  TinyLlamaOptions options;
  options.num_layers = kNumLayers;
  options.num_query_heads = layer.shape.num_query_heads;
  options.num_kv_heads = layer.shape.num_kv_heads;
  options.head_dim = layer.shape.head_dim;
  options.rope_theta = layer.rope_theta;
  const std::string folder = MakeFolder(layer.name + "_model");
  EXPECT_TRUE(WriteTinyLlama(folder, options).ok());
  return folder;
}

// The gate set file that import_gate makes of the golden gate.
std::string Import(const std::string& golden, const std::string& model,
                   const std::string& folder) {
  const std::string output = folder + "/gate.safetensors";
  const std::string write =
      absl::StrCat("tests/golden_tests/write_released_gate '", golden, "' '",
                   model, "' '", folder, "'");
  const std::string import = absl::StrCat(
      "tools/models/import_gate --weights='", folder,
      "/attn_gate_weights.pth' --config='", folder, "/config.json' --model='",
      model, "' --output='", output, "'");
  EXPECT_EQ(std::system(write.c_str()), 0) << write;
  EXPECT_EQ(std::system(import.c_str()), 0) << import;
  return output;
}

// As a server does for a model in fp32.
absl::StatusOr<std::shared_ptr<const GateSet>> Load(const std::string& path,
                                                    const std::string& model) {
  SEER_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(model));
  SEER_ASSIGN_OR_RETURN(const auto weights, WeightFiles::Open(model, config));
  GateSetTarget target;
  target.shape = {config.num_layers, config.num_query_heads,
                  config.num_kv_heads, config.head_dim, DType::kFloat32};
  target.model_id = "tiny";
  target.fingerprint = Fingerprint(config, *weights);
  return LoadGateSet(path, target);
}

// Expects the values of `golden`, bit by bit, and puts those found in its
// place.
void ExpectSameBits(const void* found, std::vector<float>* golden) {
  ASSERT_EQ(found == nullptr, golden->empty());
  if (found == nullptr) return;
  const float* values = static_cast<const float*>(found);
  EXPECT_EQ(std::memcmp(values, golden->data(), golden->size() * sizeof(float)),
            0);
  golden->assign(values, values + golden->size());
}

// The check of gate `gate`, which has been imported, against `golden`.
void CheckGate(const Gate& gate, GoldenLayer golden) {
  GateWeights& weights = golden.gate;
  EXPECT_EQ(gate.num_entry_heads(), weights.is_double()
                                        ? golden.shape.num_kv_heads
                                        : golden.shape.num_query_heads);
  EXPECT_EQ(*static_cast<const float*>(gate.layer(0).linear_k),
            -weights.linear_k[0]);
  const GateLayer last = gate.layer(kNumLayers - 1);
  EXPECT_EQ(gate.design(), DesignName(weights.query_pools, weights.key_pools));
  ExpectSameBits(last.linear_q, &weights.linear_q);
  ExpectSameBits(last.linear_k, &weights.linear_k);
  for (const char* tensor : {"gate_logits", "gate_logits_default"}) {
    if (golden.Floats(tensor) == nullptr) continue;
    CheckGateLogits(golden, tensor, "default");
  }
}

TEST(ImportedGateGoldenTest, GivesTheGoldenLogits) {
  std::vector<std::string> paths = GoldenPaths("attn_gate_", ".safetensors");
  for (const std::string& path : GoldenPaths("layer_", ".safetensors")) {
    paths.push_back(path);
  }
  int num_checked = 0;
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    const absl::StatusOr<GoldenLayer> golden = LoadGoldenLayer(path);
    ASSERT_TRUE(golden.ok()) << golden.status();
    if (!golden->has_gate()) continue;
    const std::string model = MakeBaseModel(*golden);
    const std::string imported =
        Import(path, model, MakeFolder(golden->name + "_released"));
    const auto set = Load(imported, model);
    ASSERT_TRUE(set.ok()) << set.status();
    CheckGate(*(*set)->gate, *golden);
    ++num_checked;
  }
  if (num_checked == 0) GTEST_SKIP() << "no gate in " << GoldenDir();
}

}  // namespace
}  // namespace seer
