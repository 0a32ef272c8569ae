#include "engine/gate/gate_set.h"

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "base/file/mapped_file.h"
#include "base/hash/sha256.h"
#include "base/safetensors/safetensors.h"
#include "base/status_macros.h"
#include "engine/gate/attn_gate.h"
#include "engine/gate/gate_design.h"
#include "engine/gate/mean_pool.h"
#include "engine/gate/oracle.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

// Longer than any design's name, and short enough for a message.
constexpr size_t kMaxDesignNameLen = 64;

constexpr char kProfile[] = "budget_profile";
constexpr char kProfileDensities[] = "budget_profile_densities";

std::string LinearName(int32_t layer, absl::string_view which) {
  return absl::StrCat("model.layers.", layer,
                      ".self_attn.attn_gate.mask_linear_", which, ".weight");
}

// Reads a gate set out of a file's contents, keeping count of what was read so
// that nothing in the file goes unnoticed.
class Reader {
 public:
  Reader(const SafetensorsContents& contents, const GateShape& shape)
      : contents_(contents), shape_(shape) {}

  absl::StatusOr<std::string> Metadata(const std::string& key) const {
    const auto found = contents_.metadata.find(key);
    if (found != contents_.metadata.end()) return found->second;
    return absl::InvalidArgumentError(
        absl::StrCat("metadata field ", key, " is missing"));
  }

  absl::Status ExpectMetadata(const std::string& key,
                              absl::string_view expected) const {
    SEER_ASSIGN_OR_RETURN(const std::string value, Metadata(key));
    if (value == expected) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("metadata field ", key, " is ", QuotedForMessage(value),
                     ", expected ", expected));
  }

  bool Has(const std::string& name) const {
    return contents_.tensors.count(name) != 0;
  }

  // The tensor as floats; every value finite. A dimension of -1 is free.
  absl::StatusOr<std::vector<float>> Floats(const std::string& name,
                                            std::vector<int64_t> expected,
                                            bool allow_bfloat16);

  absl::StatusOr<AttnGateWeights> Layer(int32_t layer, const GateDesign& design,
                                        bool has_linear_q);
  absl::StatusOr<std::optional<BudgetProfile>> Profile();
  absl::Status CheckAllRead() const;

 private:
  const SafetensorsContents& contents_;
  const GateShape& shape_;
  absl::flat_hash_set<std::string> read_;
};

absl::StatusOr<std::vector<float>> Reader::Floats(const std::string& name,
                                                  std::vector<int64_t> expected,
                                                  bool allow_bfloat16) {
  const auto found = contents_.tensors.find(name);
  if (found == contents_.tensors.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", name, " is missing"));
  }
  read_.insert(name);
  const SafetensorsTensor& tensor = found->second;
  const bool is_bfloat16 = tensor.dtype == SafetensorsDtype::kBF16;
  if (tensor.dtype != SafetensorsDtype::kF32 &&
      !(is_bfloat16 && allow_bfloat16)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", name, " has dtype ", SafetensorsDtypeName(tensor.dtype),
        ", expected ", allow_bfloat16 ? "BF16 or F32" : "F32"));
  }
  bool same_shape = tensor.shape.size() == expected.size();
  for (size_t d = 0; same_shape && d < expected.size(); ++d) {
    same_shape = expected[d] < 0 || tensor.shape[d] == expected[d];
  }
  if (!same_shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", name, " has shape [", absl::StrJoin(tensor.shape, ", "),
        "], expected [", absl::StrJoin(expected, ", "), "]"));
  }
  const size_t size = tensor.bytes.size() / (is_bfloat16 ? 2 : 4);
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) {
    if (is_bfloat16) {
      BFloat16 value;
      std::memcpy(&value, tensor.bytes.data() + 2 * i, 2);
      values[i] = static_cast<float>(value);
    } else {
      std::memcpy(&values[i], tensor.bytes.data() + 4 * i, 4);
    }
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", name, ", value ", i, " is not finite"));
    }
  }
  return values;
}

std::vector<uint8_t> ToDType(const std::vector<float>& values, DType dtype) {
  std::vector<uint8_t> bytes(values.size() * SizeOf(dtype));
  if (dtype == DType::kFloat32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const BFloat16 value(values[i]);
    std::memcpy(bytes.data() + 2 * i, &value, 2);
  }
  return bytes;
}

absl::StatusOr<AttnGateWeights> Reader::Layer(int32_t layer,
                                              const GateDesign& design,
                                              bool has_linear_q) {
  const int64_t head_dim = shape_.head_dim;
  AttnGateWeights weights;
  if (has_linear_q) {
    SEER_ASSIGN_OR_RETURN(
        const std::vector<float> linear_q,
        Floats(LinearName(layer, "q"),
               {shape_.num_query_heads, design.query_pools.size() * head_dim,
                head_dim},
               /*allow_bfloat16=*/true));
    weights.linear_q = ToDType(linear_q, shape_.dtype);
  }
  SEER_ASSIGN_OR_RETURN(
      const std::vector<float> linear_k,
      Floats(LinearName(layer, "k"),
             {has_linear_q ? shape_.num_kv_heads : shape_.num_query_heads,
              design.key_pools.size() * head_dim, head_dim},
             /*allow_bfloat16=*/true));
  weights.linear_k = ToDType(linear_k, shape_.dtype);
  return weights;
}

absl::StatusOr<std::optional<BudgetProfile>> Reader::Profile() {
  if (!Has(kProfile) && !Has(kProfileDensities)) return std::nullopt;
  SEER_ASSIGN_OR_RETURN(
      const std::vector<float> densities,
      Floats(kProfileDensities, {-1}, /*allow_bfloat16=*/false));
  SEER_ASSIGN_OR_RETURN(const std::vector<float> values,
                        Floats(kProfile,
                               {shape_.num_layers, shape_.num_query_heads,
                                static_cast<int64_t>(densities.size())},
                               /*allow_bfloat16=*/false));
  SEER_ASSIGN_OR_RETURN(
      BudgetProfile profile,
      BudgetProfile::Create(shape_.num_layers, shape_.num_query_heads,
                            densities, values));
  return std::optional<BudgetProfile>(std::move(profile));
}

absl::Status Reader::CheckAllRead() const {
  for (const auto& [name, tensor] : contents_.tensors) {
    if (!read_.contains(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", name, " does not belong in this gate set"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<const Gate>> ReadGate(
    Reader& reader, const std::string& design_name, const GateShape& shape) {
  if (!HasWeights(design_name)) {
    if (!reader.Has(kProfile)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", kProfile, " is missing: a gate set of design ",
          design_name, " is nothing but a budget profile"));
    }
    const Oracle oracle = OracleNamed(design_name);
    if (oracle == Oracle::kNone) return std::make_unique<const MeanPool>(shape);
    return std::make_unique<const OracleGate>(oracle);
  }
  absl::StatusOr<GateDesign> design =
      ParseGateDesign(design_name.substr(0, kMaxDesignNameLen));
  if (!design.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("metadata field design: ", design.status().message()));
  }
  // Double-linear where the file says so or the design needs it.
  const bool has_linear_q =
      design->query_pools.size() > 1 || reader.Has(LinearName(0, "q"));
  std::vector<AttnGateWeights> layers;
  for (int32_t layer = 0; layer < shape.num_layers; ++layer) {
    SEER_ASSIGN_OR_RETURN(AttnGateWeights weights,
                          reader.Layer(layer, *design, has_linear_q));
    layers.push_back(std::move(weights));
  }
  return std::make_unique<const AttnGate>(shape, *design, std::move(layers));
}

absl::StatusOr<std::shared_ptr<const GateSet>> ReadGateSet(
    absl::Span<const uint8_t> file, const GateSetTarget& target) {
  absl::StatusOr<SafetensorsContents> parsed = ParseSafetensors(file);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(parsed.status().message());
  }
  const SafetensorsContents contents = *std::move(parsed);
  Reader reader(contents, target.shape);
  SEER_RETURN_IF_ERROR(reader.ExpectMetadata("format_version", "1"));
  SEER_RETURN_IF_ERROR(
      reader.ExpectMetadata("block_size", absl::StrCat(kBlockSize)));
  SEER_ASSIGN_OR_RETURN(const std::string fingerprint,
                        reader.Metadata("fingerprint"));
  if (fingerprint != target.fingerprint) {
    return absl::FailedPreconditionError(absl::StrCat(
        "metadata field fingerprint is ", QuotedForMessage(fingerprint),
        ", another base model's: this one's is ", target.fingerprint));
  }
  SEER_ASSIGN_OR_RETURN(const std::string design, reader.Metadata("design"));
  if (OracleNamed(design) != Oracle::kNone && !target.allow_oracle_gates) {
    return OracleNotAllowed(design);
  }

  auto set = std::make_shared<GateSet>();
  SEER_ASSIGN_OR_RETURN(set->gate, ReadGate(reader, design, target.shape));
  SEER_ASSIGN_OR_RETURN(set->profile, reader.Profile());
  SEER_RETURN_IF_ERROR(reader.CheckAllRead());
  SEER_ASSIGN_OR_RETURN(set->provenance, ReadGateProvenance(contents.metadata));
  set->num_bytes = static_cast<int64_t>(file.size());
  set->version = Sha256Hex(file);
  set->name = absl::StrCat("models/", target.model_id, "/gateSets/sha256-",
                           set->version.substr(0, 12));
  return std::shared_ptr<const GateSet>(std::move(set));
}

}  // namespace

std::shared_ptr<const GateSet> BuiltinMeanPool(const GateShape& shape) {
  auto set = std::make_shared<GateSet>();
  set->name = kMeanPoolDesign;
  set->gate = std::make_unique<const MeanPool>(shape);
  return set;
}

absl::StatusOr<std::shared_ptr<const GateSet>> LoadGateSet(
    const std::string& path, const GateSetTarget& target) {
  SEER_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  return ReadGateSet(file.bytes(), target);
}

}  // namespace seer
