#include "base/safetensors/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/file/mapped_file.h"
#include "base/safetensors/dtype.h"
#include "base/safetensors/header.h"
#include "base/status_macros.h"

namespace seer {
namespace {

constexpr size_t kPrefixBytes = 8;  // the header's length

uint64_t LoadLittleEndian64(const uint8_t* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

using NamedTensor = std::pair<const std::string, SafetensorsHeader::Tensor>;

// Whether every byte of the data is in exactly one tensor.
absl::Status CheckCoverage(const SafetensorsHeader& header,
                           uint64_t data_size) {
  std::vector<const NamedTensor*> order;
  order.reserve(header.tensors.size());
  for (const NamedTensor& tensor : header.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(),
            [](const NamedTensor* a, const NamedTensor* b) {
              return std::make_pair(a->second.begin, a->second.end) <
                     std::make_pair(b->second.begin, b->second.end);
            });
  uint64_t covered = 0;
  for (const NamedTensor* tensor : order) {
    if (tensor->second.begin != covered) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", QuoteTensorName(tensor->first), ": starts at byte ",
          tensor->second.begin, " of the data, ",
          tensor->second.begin < covered ? "inside another tensor"
                                         : "after bytes of no tensor"));
    }
    covered = tensor->second.end;
  }
  if (covered != data_size) {
    return absl::InvalidArgumentError(
        absl::StrCat(data_size - covered, " bytes after the last tensor"));
  }
  return absl::OkStatus();
}

// Whether the offsets lie in the data and agree with the shape.
absl::Status CheckExtent(const NamedTensor& named, uint64_t data_size) {
  const SafetensorsHeader::Tensor& tensor = named.second;
  const std::string where =
      absl::StrCat("tensor ", QuoteTensorName(named.first), ": ");
  if (tensor.begin > tensor.end) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, "data_offsets run backwards, from ", tensor.begin,
                     " to ", tensor.end));
  }
  const absl::optional<uint64_t> size =
      SafetensorsByteSize(tensor.dtype, tensor.shape);
  if (!size.has_value() || *size != tensor.end - tensor.begin) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, "shape [", absl::StrJoin(tensor.shape, ", "), "] of ",
        SafetensorsDtypeName(tensor.dtype), " does not fill the ",
        tensor.end - tensor.begin, " bytes of its data_offsets"));
  }
  if (tensor.end > data_size) {
    return absl::DataLossError(absl::StrCat(where, "ends at byte ", tensor.end,
                                            " of the data, but the file has ",
                                            data_size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SafetensorsContents> ParseSafetensors(
    absl::Span<const uint8_t> file) {
  if (file.size() < kPrefixBytes) {
    return absl::DataLossError(absl::StrCat("the file has ", file.size(),
                                            " bytes, too few for a header"));
  }
  const uint64_t header_size = LoadLittleEndian64(file.data());
  if (header_size > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a header of ", header_size, " bytes is over the limit of ",
        kMaxSafetensorsHeaderBytes));
  }
  if (header_size > file.size() - kPrefixBytes) {
    return absl::DataLossError(absl::StrCat(
        "the file ends inside its header of ", header_size, " bytes"));
  }
  const absl::string_view json(
      reinterpret_cast<const char*>(file.data()) + kPrefixBytes, header_size);
  const absl::Span<const uint8_t> data =
      file.subspan(kPrefixBytes + header_size);

  SEER_ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensorsHeader(json));
  for (const NamedTensor& tensor : header.tensors) {
    SEER_RETURN_IF_ERROR(CheckExtent(tensor, data.size()));
  }
  SEER_RETURN_IF_ERROR(CheckCoverage(header, data.size()));

  SafetensorsContents contents;
  contents.metadata = std::move(header.metadata);
  for (auto& [name, tensor] : header.tensors) {
    contents.tensors.emplace(
        name, SafetensorsTensor{
                  tensor.dtype, std::move(tensor.shape),
                  data.subspan(tensor.begin, tensor.end - tensor.begin)});
  }
  return contents;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  SEER_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  absl::StatusOr<SafetensorsContents> contents = ParseSafetensors(file.bytes());
  if (!contents.ok()) {
    return absl::Status(contents.status().code(),
                        absl::StrCat(path, ": ", contents.status().message()));
  }
  return SafetensorsFile(std::move(file), *std::move(contents));
}

const SafetensorsTensor* SafetensorsFile::Find(const std::string& name) const {
  const auto found = contents_.tensors.find(name);
  return found == contents_.tensors.end() ? nullptr : &found->second;
}

}  // namespace seer
