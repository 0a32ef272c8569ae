#ifndef SEER_BASE_TEXT_JSON_VIEW_H_
#define SEER_BASE_TEXT_JSON_VIEW_H_

// Reading JSON from outside: every access checks the type, and every error
// names the place.
//
//   SEER_ASSIGN_OR_RETURN(const nlohmann::json json,
//                         ParseJson(text, "config.json"));
//   const JsonView config(&json, "config.json");
//   SEER_ASSIGN_OR_RETURN(const int64_t size, config["hidden_size"].Int64());
//   // INVALID_ARGUMENT: config.json: hidden_size: want an integer, got "big"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace seer {

// INVALID_ARGUMENT: `text` is no JSON. `name` says what it is, for messages.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text,
                                         absl::string_view name);

// A JSON value and where it stands. Borrows the value. A member that is missing
// and one that is null look alike.
class JsonView {
 public:
  JsonView(const nlohmann::json* value, absl::string_view path)
      : value_(value), path_(path) {}

  // Whether it is missing or null.
  bool IsNull() const { return value_ == nullptr || value_->is_null(); }
  bool IsObject() const { return value_ != nullptr && value_->is_object(); }
  bool IsArray() const { return value_ != nullptr && value_->is_array(); }
  bool IsString() const { return value_ != nullptr && value_->is_string(); }

  // The member `key`; missing where this is no object.
  JsonView operator[](absl::string_view key) const;

  // INVALID_ARGUMENT: it is null or of another type, or an integer does not
  // fit. Numbers are finite; an integer is a number too.
  absl::StatusOr<bool> Bool() const;
  absl::StatusOr<int64_t> Int64() const;
  absl::StatusOr<double> Number() const;
  absl::StatusOr<std::string> String() const;

  // The elements of an array. INVALID_ARGUMENT: it is none.
  absl::StatusOr<std::vector<JsonView>> Array() const;

  // INVALID_ARGUMENT: it is no object.
  absl::Status CheckObject() const;

  // An INVALID_ARGUMENT status that says `problem` of this place.
  absl::Status Error(absl::string_view problem) const;

  // An UNIMPLEMENTED status that says `problem` of this place.
  absl::Status Unsupported(absl::string_view problem) const;

  // The value in short, for messages.
  std::string Excerpt() const;

  // Null where missing.
  const nlohmann::json* value() const { return value_; }
  const std::string& path() const { return path_; }

 private:
  absl::Status WrongType(absl::string_view wanted) const;

  const nlohmann::json* value_;
  std::string path_;  // as "config.json: rope_scaling.factor"
};

}  // namespace seer

#endif  // SEER_BASE_TEXT_JSON_VIEW_H_
