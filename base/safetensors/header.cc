#include "base/safetensors/header.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/safetensors/dtype.h"

namespace seer {
namespace {

using ::nlohmann::json;

constexpr char kMetadataKey[] = "__metadata__";
constexpr size_t kMaxRank = 16;

// Takes the events of the JSON parser, in the order of the text, and refuses
// the first that the form does not allow. Builds no JSON tree, so a hostile
// header costs no more than its own size.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  absl::StatusOr<SafetensorsHeader> Finish() {
    if (!status_.ok()) return status_;
    return std::move(header_);
  }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_integer(number_integer_t) override {
    return Unexpected("a negative number");
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Unexpected(absl::StrCat("the number ", text.substr(0, 40)));
  }
  bool binary(binary_t&) override { return Unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (value > std::numeric_limits<int64_t>::max()) {
        return Refuse("a dimension is over 2^63 - 1");
      }
      if (tensor_.shape.size() == kMaxRank) {
        return Refuse(absl::StrCat("more than ", kMaxRank, " dimensions"));
      }
      tensor_.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (place_ == Place::kOffsets) {
      if (num_offsets_ == 2) return Refuse("more than two data_offsets");
      (num_offsets_ == 0 ? tensor_.begin : tensor_.end) = value;
      ++num_offsets_;
      return true;
    }
    return Unexpected("a number");
  }

  bool string(string_t& text) override {
    if (place_ == Place::kMetadataValue) {
      header_.metadata.emplace(std::move(metadata_key_), std::move(text));
      place_ = Place::kMetadata;
      return true;
    }
    if (place_ == Place::kDtypeValue) {
      const auto dtype = ParseSafetensorsDtype(text);
      if (!dtype.has_value()) {
        return Refuse(absl::StrCat("unknown dtype ", QuoteTensorName(text)));
      }
      tensor_.dtype = *dtype;
      place_ = Place::kTensor;
      return true;
    }
    return Unexpected("a string");
  }

  bool start_object(size_t) override {
    switch (place_) {
      case Place::kStart:
        place_ = Place::kRoot;
        return true;
      case Place::kMetadataObject:
        place_ = Place::kMetadata;
        return true;
      case Place::kTensorObject:
        place_ = Place::kTensor;
        tensor_ = SafetensorsHeader::Tensor();
        fields_.clear();
        return true;
      default:
        return Unexpected("an object");
    }
  }

  bool key(string_t& key) override {
    switch (place_) {
      case Place::kRoot:
        if (key == kMetadataKey) return StartMetadata();
        where_ = absl::StrCat("tensor ", QuoteTensorName(key));
        if (header_.tensors.count(key) > 0) return Refuse("appears twice");
        tensor_name_ = std::move(key);
        place_ = Place::kTensorObject;
        return true;
      case Place::kMetadata:
        if (header_.metadata.count(key) > 0) {
          return Refuse(
              absl::StrCat("key ", QuoteTensorName(key), " appears twice"));
        }
        metadata_key_ = std::move(key);
        place_ = Place::kMetadataValue;
        return true;
      case Place::kTensor:
        return StartField(key);
      default:
        return Unexpected("a key");
    }
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      for (const char* field : {"dtype", "shape", "data_offsets"}) {
        if (fields_.count(field) == 0) {
          return Refuse(absl::StrCat("no ", field));
        }
      }
      header_.tensors.emplace(std::move(tensor_name_), std::move(tensor_));
    }
    where_ = "header";
    place_ = place_ == Place::kRoot ? Place::kEnd : Place::kRoot;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ == Place::kShapeArray) {
      place_ = Place::kShape;
      return true;
    }
    if (place_ == Place::kOffsetsArray) {
      place_ = Place::kOffsets;
      num_offsets_ = 0;
      return true;
    }
    return Unexpected("an array");
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && num_offsets_ != 2) {
      return Refuse("fewer than two data_offsets");
    }
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const json::exception&) override {
    return Refuse(absl::StrCat("not valid JSON at byte ", position));
  }

 private:
  // What has been read last, hence what may come next.
  enum class Place {
    kStart,           // nothing
    kRoot,            // inside the root object
    kMetadataObject,  // the key of the metadata
    kMetadata,        // inside the metadata
    kMetadataValue,   // a key of the metadata
    kTensorObject,    // a tensor's name
    kTensor,          // inside a tensor's object
    kDtypeValue,      // the key "dtype"
    kShapeArray,      // the key "shape"
    kShape,           // inside the shape
    kOffsetsArray,    // the key "data_offsets"
    kOffsets,         // inside the offsets
    kEnd,             // the root object
  };

  bool StartMetadata() {
    where_ = kMetadataKey;
    if (seen_metadata_) return Refuse("appears twice");
    seen_metadata_ = true;
    place_ = Place::kMetadataObject;
    return true;
  }

  bool StartField(const std::string& field) {
    if (field == "dtype") {
      place_ = Place::kDtypeValue;
    } else if (field == "shape") {
      place_ = Place::kShapeArray;
    } else if (field == "data_offsets") {
      place_ = Place::kOffsetsArray;
    } else {
      return Refuse(absl::StrCat("unknown field ", QuoteTensorName(field)));
    }
    if (!fields_.insert(field).second) {
      return Refuse(absl::StrCat(field, " appears twice"));
    }
    return true;
  }

  bool Unexpected(absl::string_view what) {
    return Refuse(absl::StrCat("unexpected ", what));
  }

  // Returns false, which ends the parse.
  bool Refuse(absl::string_view reason) {
    status_ = absl::InvalidArgumentError(absl::StrCat(where_, ": ", reason));
    return false;
  }

  Place place_ = Place::kStart;
  std::string where_ = "header";  // for messages
  absl::Status status_;
  SafetensorsHeader header_;
  bool seen_metadata_ = false;
  std::string metadata_key_;

  // The tensor being read.
  std::string tensor_name_;
  SafetensorsHeader::Tensor tensor_;
  std::set<std::string> fields_;  // of it, so far
  int num_offsets_ = 0;
};

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(
    absl::string_view json_text) {
  if (json_text.empty() || json_text.front() != '{') {
    return absl::InvalidArgumentError("header: does not start with {");
  }
  // The JSON parser would take one for the end of the text.
  if (json_text.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError("header: holds a NUL byte");
  }
  HeaderReader reader;
  json::sax_parse(json_text.begin(), json_text.end(), &reader);
  return reader.Finish();
}

std::string QuoteTensorName(absl::string_view name) {
  constexpr size_t kMaxLength = 128;
  const bool cut = name.size() > kMaxLength;
  return absl::StrCat("\"", absl::CHexEscape(name.substr(0, kMaxLength)),
                      cut ? "...\"" : "\"");
}

}  // namespace seer
