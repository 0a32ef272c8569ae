#include "server/admin/codec/resource_names.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "engine/errors.h"

namespace seer {
namespace {

constexpr char kTypePrefix[] = "seer.v1.";

bool IsId(absl::string_view id) {
  if (id.empty() || id.size() > 63) return false;
  for (const char c : id) {
    const bool allowed =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!allowed) return false;
  }
  return true;
}

// The ids that stand in `name` where `pattern` has "{...}".
absl::StatusOr<std::vector<std::string>> Parse(absl::string_view name,
                                               absl::string_view pattern,
                                               absl::string_view field) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  const std::vector<absl::string_view> wanted = absl::StrSplit(pattern, '/');
  bool fits = parts.size() == wanted.size();
  std::vector<std::string> ids;
  for (size_t i = 0; fits && i < parts.size(); ++i) {
    if (absl::StartsWith(wanted[i], "{")) {
      fits = IsId(parts[i]);
      ids.emplace_back(parts[i]);
    } else {
      fits = parts[i] == wanted[i];
    }
  }
  if (fits) return ids;
  return InvalidField(
      field,
      name.empty()
          ? absl::StrCat("is required: ", pattern)
          : absl::StrCat("must be ", pattern,
                         ", with ids of 1 to 63 characters a-z, 0-9, -"));
}

absl::StatusOr<std::string> ParseOne(absl::string_view name,
                                     absl::string_view pattern,
                                     absl::string_view field) {
  SEER_ASSIGN_OR_RETURN(std::vector<std::string> ids,
                        Parse(name, pattern, field));
  return std::move(ids[0]);
}

}  // namespace

std::string UploadName(absl::string_view id) {
  return absl::StrCat("uploads/", id);
}
std::string DatasetName(absl::string_view id) {
  return absl::StrCat("datasets/", id);
}
std::string CalibrationJobName(absl::string_view id) {
  return absl::StrCat("calibrationJobs/", id);
}
std::string ModelNameOf(absl::string_view model) {
  return absl::StrCat("models/", model);
}
std::string GateSetName(absl::string_view model, absl::string_view id) {
  return id.empty() ? "" : absl::StrCat("models/", model, "/gateSets/", id);
}
std::string GateRolloutName(absl::string_view model) {
  return absl::StrCat("models/", model, "/gateRollout");
}

absl::StatusOr<std::string> ParseUploadName(absl::string_view name,
                                            absl::string_view field) {
  return ParseOne(name, "uploads/{id}", field);
}
absl::StatusOr<std::string> ParseDatasetName(absl::string_view name,
                                             absl::string_view field) {
  return ParseOne(name, "datasets/{id}", field);
}
absl::StatusOr<std::string> ParseCalibrationJobName(absl::string_view name,
                                                    absl::string_view field) {
  return ParseOne(name, "calibrationJobs/{id}", field);
}
absl::StatusOr<std::string> ParseModelName(absl::string_view name,
                                           absl::string_view field) {
  return ParseOne(name, "models/{model}", field);
}
absl::StatusOr<GateSetKey> ParseGateSetName(absl::string_view name,
                                            absl::string_view field) {
  SEER_ASSIGN_OR_RETURN(std::vector<std::string> ids,
                        Parse(name, "models/{model}/gateSets/{id}", field));
  return GateSetKey{std::move(ids[0]), std::move(ids[1])};
}
absl::StatusOr<std::string> ParseGateRolloutName(absl::string_view name,
                                                 absl::string_view field) {
  return ParseOne(name, "models/{model}/gateRollout", field);
}

bool IsModel(absl::string_view asked, absl::string_view model) {
  return asked == "-" || asked == model;
}

absl::Status NoSuch(absl::string_view type, absl::string_view name) {
  return WithResource(absl::NotFoundError(absl::StrCat("no such ", type)),
                      absl::StrCat(kTypePrefix, type), name);
}

absl::Status WithWireName(absl::Status status, absl::string_view model) {
  const auto resource = ResourceOf(status);
  if (!resource || absl::StrContains(resource->name, '/')) return status;
  const absl::string_view type = absl::StripPrefix(resource->type, kTypePrefix);
  std::string name = resource->name;
  if (type == "Upload") name = UploadName(name);
  if (type == "Dataset") name = DatasetName(name);
  if (type == "CalibrationJob") name = CalibrationJobName(name);
  if (type == "GateSet") name = GateSetName(model, name);
  return WithResource(std::move(status), resource->type, name);
}

absl::Status InMessage(const absl::Status& status, absl::string_view message) {
  const auto field = FieldOf(status);
  if (!field) return status;
  return InvalidField(absl::StrCat(message, ".", *field), status.message());
}

}  // namespace seer
