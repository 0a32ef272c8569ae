#include "engine/calibration/files/gate_file.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/gate/gate_design.h"
#include "kernels/dtype.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

constexpr char kFormatVersion[] = "1";

const char* NameOf(CalibrationTarget target) {
  switch (target) {
    case CalibrationTarget::kMax:
      return "max";
    case CalibrationTarget::kMass:
      return "mass";
    case CalibrationTarget::kRootMass:
      break;
  }
  return "root_mass";
}

const char* NameOf(CalibrationLoss loss) {
  switch (loss) {
    case CalibrationLoss::kKl:
      return "kl";
    case CalibrationLoss::kKlReference:
      return "kl_reference";
    case CalibrationLoss::kMse:
      break;
  }
  return "mse";
}

std::string OrUnknown(const std::string& text) {
  return text.empty() ? "unknown" : text;
}

std::vector<uint8_t> ToBFloat16(const std::vector<uint8_t>& bytes,
                                DType dtype) {
  if (dtype == DType::kBFloat16) return bytes;
  std::vector<uint8_t> rounded(bytes.size() / 2);
  for (size_t i = 0; i < bytes.size() / 4; ++i) {
    float value;
    std::memcpy(&value, &bytes[4 * i], 4);
    const BFloat16 stored(value);
    std::memcpy(&rounded[2 * i], &stored, 2);
  }
  return rounded;
}

CheckpointTensor Floats(std::vector<int64_t> shape,
                        const std::vector<float>& values) {
  CheckpointTensor tensor{SafetensorsDtype::kF32, std::move(shape), {}};
  tensor.bytes.resize(values.size() * sizeof(float));
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

}  // namespace

TensorFile MakeGateFile(const CalibrationOptions& options,
                        int64_t num_sequences, absl::string_view fingerprint) {
  TensorFile file;
  file.metadata = {
      {"format_version", kFormatVersion},
      {"design", options.design},
      {"block_size", absl::StrCat(kBlockSize)},
      {"fingerprint", std::string(fingerprint)},
      {"dataset_sha256", OrUnknown(options.dataset_sha256)},
      {"dataset_tokens", absl::StrCat(num_sequences * options.sequence_len)},
      {"steps", absl::StrCat(options.steps)},
      {"seed", absl::StrCat(options.seed)},
      {"tool_version", OrUnknown(options.tool_version)},
      {"created", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", options.created,
                                   absl::UTCTimeZone())}};
  if (HasWeights(options.design)) {
    file.metadata["target"] = NameOf(options.target);
    file.metadata["loss"] = NameOf(options.loss);
  }
  return file;
}

void AddGateLayer(const GateShape& shape, int32_t layer,
                  const AttnGateWeights& weights, TensorFile* file) {
  const auto add = [&](const char* which, const std::vector<uint8_t>& bytes,
                       int64_t num_heads) {
    CheckpointTensor tensor;
    tensor.dtype = SafetensorsDtype::kBF16;
    tensor.bytes = ToBFloat16(bytes, shape.dtype);
    const int64_t inputs = static_cast<int64_t>(tensor.bytes.size()) /
                           (2 * num_heads * shape.head_dim);
    tensor.shape = {num_heads, inputs, shape.head_dim};
    file->tensors[absl::StrCat("model.layers.", layer,
                               ".self_attn.attn_gate.mask_linear_", which,
                               ".weight")] = std::move(tensor);
  };
  const bool is_double = !weights.linear_q.empty();
  if (is_double) add("q", weights.linear_q, shape.num_query_heads);
  add("k", weights.linear_k,
      is_double ? shape.num_kv_heads : shape.num_query_heads);
}

void AddBudgetProfile(const BudgetProfile& profile,
                      const std::vector<float>& densities, TensorFile* file) {
  std::vector<float> values;
  for (int32_t layer = 0; layer < profile.num_layers(); ++layer) {
    for (int32_t head = 0; head < profile.num_heads(); ++head) {
      for (const float density : densities) {
        values.push_back(
            static_cast<float>(profile.HeadDensity(layer, head, density)));
      }
    }
  }
  const int64_t num_points = static_cast<int64_t>(densities.size());
  file->tensors["budget_profile_densities"] = Floats({num_points}, densities);
  file->tensors["budget_profile"] =
      Floats({profile.num_layers(), profile.num_heads(), num_points}, values);
}

}  // namespace seer
