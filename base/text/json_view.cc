#include "base/text/json_view.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace seer {

absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text,
                                         absl::string_view name) {
  nlohmann::json json =
      nlohmann::json::parse(text.begin(), text.end(), /*cb=*/nullptr,
                            /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not valid JSON"));
  }
  return json;
}

JsonView JsonView::operator[](absl::string_view key) const {
  // The file's name ends in ": " before the first key, keys are joined by dots.
  const bool at_root = !absl::StrContains(path_, ": ");
  const std::string path = absl::StrCat(path_, at_root ? ": " : ".", key);
  if (!IsObject()) return JsonView(nullptr, path);
  const auto it = value_->find(std::string(key));
  return JsonView(it == value_->end() ? nullptr : &*it, path);
}

absl::StatusOr<bool> JsonView::Bool() const {
  if (IsNull() || !value_->is_boolean()) return WrongType("true or false");
  return value_->get<bool>();
}

absl::StatusOr<int64_t> JsonView::Int64() const {
  if (IsNull() || !value_->is_number_integer()) return WrongType("an integer");
  if (value_->is_number_unsigned() &&
      value_->get<uint64_t>() >
          static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return WrongType("a 64-bit integer");
  }
  return value_->get<int64_t>();
}

absl::StatusOr<double> JsonView::Number() const {
  if (IsNull() || !value_->is_number()) return WrongType("a number");
  const double number = value_->get<double>();
  if (!std::isfinite(number)) return WrongType("a finite number");
  return number;
}

absl::StatusOr<std::string> JsonView::String() const {
  if (!IsString()) return WrongType("a string");
  return value_->get<std::string>();
}

absl::StatusOr<std::vector<JsonView>> JsonView::Array() const {
  if (!IsArray()) return WrongType("an array");
  std::vector<JsonView> elements;
  elements.reserve(value_->size());
  for (const nlohmann::json& element : *value_) {
    elements.emplace_back(&element,
                          absl::StrCat(path_, "[", elements.size(), "]"));
  }
  return elements;
}

absl::Status JsonView::CheckObject() const {
  return IsObject() ? absl::OkStatus() : WrongType("an object");
}

absl::Status JsonView::Error(absl::string_view problem) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, ": ", problem));
}

absl::Status JsonView::Unsupported(absl::string_view problem) const {
  return absl::UnimplementedError(absl::StrCat(path_, ": ", problem));
}

std::string JsonView::Excerpt() const {
  if (value_ == nullptr) return "nothing";
  if (value_->is_object()) return "an object";
  if (value_->is_array()) return "an array";
  constexpr size_t kLongest = 64;
  std::string text = value_->dump(-1, ' ', /*ensure_ascii=*/true,
                                  nlohmann::json::error_handler_t::replace);
  if (text.size() > kLongest)
    text = absl::StrCat(text.substr(0, kLongest), "...");
  return text;
}

absl::Status JsonView::WrongType(absl::string_view wanted) const {
  if (value_ == nullptr) return Error("missing");
  return Error(absl::StrCat("want ", wanted, ", got ", Excerpt()));
}

}  // namespace seer
