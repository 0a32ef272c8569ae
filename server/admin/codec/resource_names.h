// The names of GateAdminService's resources, and errors in their terms.
#ifndef SEER_SERVER_ADMIN_CODEC_RESOURCE_NAMES_H_
#define SEER_SERVER_ADMIN_CODEC_RESOURCE_NAMES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace seer {

// {model} and {id} match [a-z0-9-]{1,63}; nothing else is ever looked up.
std::string UploadName(absl::string_view id);          // uploads/{id}
std::string DatasetName(absl::string_view id);         // datasets/{id}
std::string CalibrationJobName(absl::string_view id);  // calibrationJobs/{id}
std::string ModelNameOf(absl::string_view model);      // models/{model}
// models/{model}/gateSets/{id}; "" of the id "", which stands for none.
std::string GateSetName(absl::string_view model, absl::string_view id);
std::string GateRolloutName(absl::string_view model);

struct GateSetKey {
  std::string model;
  std::string id;
};

// The inverses. INVALID_ARGUMENT at `field`: `name` has not that form.
absl::StatusOr<std::string> ParseUploadName(absl::string_view name,
                                            absl::string_view field);
absl::StatusOr<std::string> ParseDatasetName(absl::string_view name,
                                             absl::string_view field);
absl::StatusOr<std::string> ParseCalibrationJobName(absl::string_view name,
                                                    absl::string_view field);
absl::StatusOr<std::string> ParseModelName(absl::string_view name,
                                           absl::string_view field);
absl::StatusOr<GateSetKey> ParseGateSetName(absl::string_view name,
                                            absl::string_view field);
absl::StatusOr<std::string> ParseGateRolloutName(absl::string_view name,
                                                 absl::string_view field);

// Whether a {model} of a request is `model`: "-" is any.
bool IsModel(absl::string_view asked, absl::string_view model);

// NOT_FOUND of a resource of this type ("GateSet") and name.
absl::Status NoSuch(absl::string_view type, absl::string_view name);

// An error of the catalog, which knows bare ids, with the resource's name on
// the wire. `model` is that of gate sets.
absl::Status WithWireName(absl::Status status, absl::string_view model);

// An error about a member, as one about `message`'s member: "etag" becomes
// "gate_rollout.etag".
absl::Status InMessage(const absl::Status& status, absl::string_view message);

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_CODEC_RESOURCE_NAMES_H_
