#include "engine/gate/gate_provenance.h"

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/text/utf8.h"

namespace seer {
namespace {

constexpr size_t kMaxQuotedBytes = 64;
constexpr size_t kMaxToolVersionBytes = 256;
constexpr char kUnknown[] = "unknown";

absl::Status BadField(absl::string_view key, const std::string& value,
                      absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("metadata field ", key, " is ",
                                                 QuotedForMessage(value),
                                                 ", expected ", expected));
}

// The fields of one file; null: it lacks the field or does not know it.
class Fields {
 public:
  explicit Fields(const std::map<std::string, std::string>& metadata)
      : metadata_(metadata) {}

  const std::string* Find(const char* key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end() || found->second == kUnknown) return nullptr;
    return &found->second;
  }

  absl::StatusOr<std::string> OneOf(
      const char* key, std::initializer_list<const char*> words) const {
    const std::string* value = Find(key);
    if (value == nullptr) return std::string();
    if (std::find(words.begin(), words.end(), *value) != words.end()) {
      return *value;
    }
    return BadField(key, *value, absl::StrJoin(words, ", "));
  }

  // A decimal number without a sign.
  template <typename T>
  absl::StatusOr<T> Number(const char* key) const {
    const std::string* value = Find(key);
    if (value == nullptr) return T{0};
    T number = 0;
    const bool digits =
        std::all_of(value->begin(), value->end(), absl::ascii_isdigit);
    if (digits && absl::SimpleAtoi(*value, &number)) return number;
    return BadField(key, *value,
                    absl::StrCat("a decimal number of at most ",
                                 std::numeric_limits<T>::digits, " bits"));
  }

  absl::StatusOr<std::string> Digest(const char* key) const {
    const std::string* value = Find(key);
    if (value == nullptr) return std::string();
    const bool is_hex =
        std::all_of(value->begin(), value->end(), [](unsigned char c) {
          return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
        });
    if (is_hex && value->size() == 64) return *value;
    return BadField(key, *value, "64 lowercase hexadecimal digits");
  }

  absl::StatusOr<std::string> Text(const char* key, size_t max_bytes) const {
    const std::string* value = Find(key);
    if (value == nullptr) return std::string();
    const bool is_text =
        FirstInvalidUtf8(*value) == value->size() &&
        std::none_of(value->begin(), value->end(), absl::ascii_iscntrl);
    if (is_text && value->size() <= max_bytes) return *value;
    return BadField(key, *value,
                    absl::StrCat("at most ", max_bytes,
                                 " bytes of UTF-8 without control characters"));
  }

  absl::Status CheckTime(const char* key) const {
    const std::string* value = Find(key);
    absl::Time time;
    std::string ignored;
    if (value == nullptr ||
        absl::ParseTime(absl::RFC3339_full, *value, &time, &ignored)) {
      return absl::OkStatus();
    }
    return BadField(key, *value, "a time as 2025-01-31T12:00:00Z");
  }

 private:
  const std::map<std::string, std::string>& metadata_;
};

}  // namespace

std::string QuotedForMessage(const std::string& text) {
  const bool fits = text.size() <= kMaxQuotedBytes;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxQuotedBytes)),
                      fits ? "\"" : "...\"");
}

absl::StatusOr<GateProvenance> ReadGateProvenance(
    const std::map<std::string, std::string>& metadata) {
  const Fields fields(metadata);
  GateProvenance provenance;
  SEER_ASSIGN_OR_RETURN(provenance.target,
                        fields.OneOf("target", {"max", "mass", "root_mass"}));
  SEER_ASSIGN_OR_RETURN(provenance.loss,
                        fields.OneOf("loss", {"kl", "kl_reference", "mse"}));
  SEER_ASSIGN_OR_RETURN(provenance.dataset_sha256,
                        fields.Digest("dataset_sha256"));
  SEER_ASSIGN_OR_RETURN(provenance.dataset_tokens,
                        fields.Number<int64_t>("dataset_tokens"));
  SEER_ASSIGN_OR_RETURN(provenance.steps, fields.Number<int64_t>("steps"));
  SEER_ASSIGN_OR_RETURN(provenance.seed, fields.Number<uint64_t>("seed"));
  SEER_ASSIGN_OR_RETURN(provenance.tool_version,
                        fields.Text("tool_version", kMaxToolVersionBytes));
  SEER_RETURN_IF_ERROR(fields.CheckTime("created"));
  return provenance;
}

}  // namespace seer
