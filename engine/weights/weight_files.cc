#include "engine/weights/weight_files.h"

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file/mapped_file.h"
#include "base/safetensors/dtype.h"
#include "base/safetensors/header.h"
#include "base/safetensors/safetensors.h"
#include "base/status_macros.h"
#include "engine/weights/llama_tensors.h"
#include "engine/weights/shard_index.h"
#include "engine/weights/weight_values.h"

namespace seer {
namespace {

constexpr absl::string_view kSingleFile = "model.safetensors";
constexpr absl::string_view kIndexFile = "model.safetensors.index.json";

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<WeightDType> ToWeightDType(const std::string& name,
                                          SafetensorsDtype dtype) {
  switch (dtype) {
    case SafetensorsDtype::kF32:
      return WeightDType::kFloat32;
    case SafetensorsDtype::kF16:
      return WeightDType::kFloat16;
    case SafetensorsDtype::kBF16:
      return WeightDType::kBFloat16;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", name, " has dtype ",
                       SafetensorsDtypeName(dtype), ", want BF16, F16 or F32"));
  }
}

absl::StatusOr<Weight> ToWeight(const std::string& name,
                                const SafetensorsTensor& tensor,
                                const std::vector<int64_t>& shape) {
  if (tensor.shape != shape) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", name, " has shape ", ShapeText(tensor.shape),
                     ", config.json asks for ", ShapeText(shape)));
  }
  Weight weight;
  weight.name = name;
  SEER_ASSIGN_OR_RETURN(weight.dtype, ToWeightDType(name, tensor.dtype));
  weight.shape = shape;
  weight.values = tensor.bytes.data();
  weight.num_bytes = static_cast<int64_t>(tensor.bytes.size());
  weight.num_values = weight.num_bytes / SafetensorsDtypeSize(tensor.dtype);
  return weight;
}

}  // namespace

// The mapped files, by name, and the tensors in them.
class WeightFiles::Files {
 public:
  static absl::StatusOr<std::unique_ptr<Files>> Open(
      const std::string& folder) {
    auto files = std::make_unique<Files>();
    const absl::Status single = files->Add(folder, std::string(kSingleFile));
    if (single.ok()) return files;
    if (!absl::IsNotFound(single)) return single;
    auto index = MappedFile::Open(absl::StrCat(folder, "/", kIndexFile));
    if (absl::IsNotFound(index.status())) {
      return absl::NotFoundError(absl::StrCat(
          folder, " has neither ", kSingleFile, " nor ", kIndexFile));
    }
    if (!index.ok()) return index.status();
    const absl::Span<const uint8_t> bytes = index->bytes();
    SEER_ASSIGN_OR_RETURN(
        const auto shard_of,
        ParseShardIndex(absl::string_view(
            reinterpret_cast<const char*>(bytes.data()), bytes.size())));
    std::set<std::string> names;
    for (const auto& [tensor, file] : shard_of) names.insert(file);
    for (const std::string& name : names) {
      SEER_RETURN_IF_ERROR(files->Add(folder, name));
    }
    SEER_RETURN_IF_ERROR(files->CheckIndex(shard_of));
    return files;
  }

  // Calls use(name, tensor) for every tensor, which may return an error.
  template <typename Use>
  absl::Status ForEachTensor(Use use) const {
    for (const auto& [name, file] : files_) {
      for (const auto& [tensor_name, tensor] : file.tensors()) {
        SEER_RETURN_IF_ERROR(use(tensor_name, tensor));
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Add(const std::string& folder, const std::string& name) {
    SEER_ASSIGN_OR_RETURN(
        SafetensorsFile file,
        SafetensorsFile::Open(absl::StrCat(folder, "/", name)));
    files_.emplace(name, std::move(file));
    return absl::OkStatus();
  }

  // The index and the shards must say the same.
  absl::Status CheckIndex(
      const std::map<std::string, std::string>& shard_of) const {
    for (const auto& [tensor, shard] : shard_of) {
      if (files_.at(shard).Find(tensor) != nullptr) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", QuoteTensorName(tensor), " is not in ", shard,
                       ", where ", kIndexFile, " has it"));
    }
    for (const auto& [shard, file] : files_) {
      for (const auto& [tensor, contents] : file.tensors()) {
        const auto it = shard_of.find(tensor);
        if (it != shard_of.end() && it->second == shard) continue;
        return absl::InvalidArgumentError(
            absl::StrCat("tensor ", QuoteTensorName(tensor), " is in ", shard,
                         ", where ", kIndexFile, " does not have it"));
      }
    }
    return absl::OkStatus();
  }

  std::map<std::string, SafetensorsFile> files_;
};

WeightFiles::WeightFiles() = default;
WeightFiles::~WeightFiles() = default;

absl::StatusOr<std::unique_ptr<const WeightFiles>> WeightFiles::Open(
    const std::string& folder, const ModelConfig& config) {
  auto weights = absl::WrapUnique(new WeightFiles);
  SEER_ASSIGN_OR_RETURN(weights->files_, Files::Open(folder));
  const auto shapes = LlamaTensorShapes(config);
  SEER_RETURN_IF_ERROR(weights->files_->ForEachTensor(
      [&](const std::string& name,
          const SafetensorsTensor& tensor) -> absl::Status {
        const auto it = shapes.find(name);
        if (it != shapes.end()) {
          SEER_ASSIGN_OR_RETURN(Weight weight,
                                ToWeight(name, tensor, it->second));
          weights->weights_.emplace(name, std::move(weight));
          return absl::OkStatus();
        }
        if (IsIgnoredTensor(name, config)) return absl::OkStatus();
        return absl::InvalidArgumentError(
            absl::StrCat("tensor ", QuoteTensorName(name),
                         " is not part of the model in config.json"));
      }));
  for (const auto& [name, shape] : shapes) {
    if (weights->weights_.count(name) != 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", name, " ", ShapeText(shape), " is missing"));
  }
  return std::unique_ptr<const WeightFiles>(std::move(weights));
}

const Weight& WeightFiles::Get(absl::string_view name) const {
  const auto it = weights_.find(name);
  if (it == weights_.end()) std::abort();
  return it->second;
}

absl::Status WeightFiles::CheckFinite() const {
  for (const auto& [name, weight] : weights_) {
    const std::optional<int64_t> index = FirstNonFinite(weight);
    if (!index) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", name, " has a value that is not finite, at ",
                     *index, " of ", weight.num_values));
  }
  return absl::OkStatus();
}

int64_t WeightFiles::num_bytes() const {
  int64_t total = 0;
  for (const auto& [name, weight] : weights_) total += weight.num_bytes;
  return total;
}

}  // namespace seer
