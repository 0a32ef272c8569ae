#include "base/safetensors/safetensors_writer.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file/atomic_file.h"
#include "base/safetensors/dtype.h"
#include "base/safetensors/header.h"
#include "base/safetensors/safetensors.h"
#include "base/status_macros.h"

namespace seer {
namespace {

constexpr size_t kPrefixBytes = 8;     // the header's length
constexpr size_t kDataAlignment = 64;  // bytes; a cache line

using NamedTensor = std::pair<const std::string, SafetensorsTensor>;

absl::StatusOr<std::string> JsonString(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError(
        absl::StrCat(QuoteTensorName(text), " is not UTF-8"));
  }
}

absl::Status CheckTensor(const NamedTensor& named) {
  const SafetensorsTensor& tensor = named.second;
  if (named.first == "__metadata__") {
    return absl::InvalidArgumentError(
        "a tensor cannot be called \"__metadata__\"");
  }
  if (SafetensorsByteSize(tensor.dtype, tensor.shape) != tensor.bytes.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", QuoteTensorName(named.first), ": shape [",
                     absl::StrJoin(tensor.shape, ", "), "] of ",
                     SafetensorsDtypeName(tensor.dtype), " is not ",
                     tensor.bytes.size(), " bytes"));
  }
  return absl::OkStatus();
}

// By falling element size, which keeps each aligned; then by name.
std::vector<const NamedTensor*> Layout(const SafetensorsContents& contents) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& tensor : contents.tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(),
                   [](const NamedTensor* a, const NamedTensor* b) {
                     return SafetensorsDtypeSize(a->second.dtype) >
                            SafetensorsDtypeSize(b->second.dtype);
                   });
  return order;
}

// The length prefix and the padded JSON header.
absl::StatusOr<std::string> Header(
    const SafetensorsContents& contents,
    const std::vector<const NamedTensor*>& order) {
  std::vector<std::string> members;
  if (!contents.metadata.empty()) {
    std::vector<std::string> metadata;
    for (const auto& [key, value] : contents.metadata) {
      SEER_ASSIGN_OR_RETURN(const std::string json_key, JsonString(key));
      SEER_ASSIGN_OR_RETURN(const std::string json_value, JsonString(value));
      metadata.push_back(absl::StrCat(json_key, ":", json_value));
    }
    members.push_back(
        absl::StrCat("\"__metadata__\":{", absl::StrJoin(metadata, ","), "}"));
  }
  uint64_t offset = 0;
  for (const NamedTensor* named : order) {
    const SafetensorsTensor& tensor = named->second;
    SEER_ASSIGN_OR_RETURN(const std::string name, JsonString(named->first));
    const uint64_t end = offset + tensor.bytes.size();
    members.push_back(
        absl::StrCat(name, ":{\"dtype\":\"", SafetensorsDtypeName(tensor.dtype),
                     "\",\"shape\":[", absl::StrJoin(tensor.shape, ","),
                     "],\"data_offsets\":[", offset, ",", end, "]}"));
    offset = end;
  }
  std::string header(kPrefixBytes, '\0');
  absl::StrAppend(&header, "{", absl::StrJoin(members, ","), "}");
  header.resize(
      (header.size() + kDataAlignment - 1) / kDataAlignment * kDataAlignment,
      ' ');
  const uint64_t json_size = header.size() - kPrefixBytes;
  if (json_size > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a header of ", json_size, " bytes is over the limit of ",
                     kMaxSafetensorsHeaderBytes));
  }
  for (size_t i = 0; i < kPrefixBytes; ++i) {
    header[i] = static_cast<char>(json_size >> (8 * i) & 0xff);
  }
  return header;
}

// A file in pieces: the header, then what it says follows.
struct Pieces {
  std::string header;
  std::vector<absl::string_view> data;  // borrows the contents
};

absl::StatusOr<Pieces> CutIntoPieces(const SafetensorsContents& contents) {
  for (const NamedTensor& tensor : contents.tensors) {
    SEER_RETURN_IF_ERROR(CheckTensor(tensor));
  }
  const std::vector<const NamedTensor*> order = Layout(contents);
  Pieces pieces;
  SEER_ASSIGN_OR_RETURN(pieces.header, Header(contents, order));
  for (const NamedTensor* named : order) {
    const absl::Span<const uint8_t> bytes = named->second.bytes;
    pieces.data.emplace_back(reinterpret_cast<const char*>(bytes.data()),
                             bytes.size());
  }
  return pieces;
}

}  // namespace

absl::StatusOr<std::string> SerializeSafetensors(
    const SafetensorsContents& contents) {
  SEER_ASSIGN_OR_RETURN(const Pieces pieces, CutIntoPieces(contents));
  size_t size = pieces.header.size();
  for (const absl::string_view piece : pieces.data) size += piece.size();
  std::string file;
  file.reserve(size);
  file.append(pieces.header);
  for (const absl::string_view piece : pieces.data) {
    file.append(piece.data(), piece.size());
  }
  return file;
}

absl::Status WriteSafetensors(const std::string& path,
                              const SafetensorsContents& contents) {
  SEER_ASSIGN_OR_RETURN(const Pieces pieces, CutIntoPieces(contents));
  std::vector<absl::string_view> file = {pieces.header};
  file.insert(file.end(), pieces.data.begin(), pieces.data.end());
  return WriteFileAtomically(path, file);
}

}  // namespace seer
