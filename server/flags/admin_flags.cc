#include "server/flags/admin_flags.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "server/admin/admin_server.h"
#include "server/admin/gate_admin_service.h"
#include "server/catalog/catalog_options.h"
#include "server/flags/flag_values.h"

using seer::CatalogOptions;
using seer::GateAdminService;

ABSL_FLAG(
    std::string, admin_host, "127.0.0.1",
    "Address of this machine to be administered on, with --state_dir. Any "
    "but loopback needs --admin_token_file.");
ABSL_FLAG(int32_t, admin_port, 8472,
          "Port of GateAdminService, with --state_dir, [0, 65535]. 0: any free "
          "one. TLS is that of the other port.");
ABSL_FLAG(
    std::string, admin_port_file, "",
    "File to write the admin port to, once it is served, and to remove at "
    "the end.");
ABSL_FLAG(std::string, admin_token_file, "",
          "File of the token that administration needs, as \"authorization: "
          "Bearer TOKEN\": 16 to 4096 printable characters. Empty: none.");
ABSL_FLAG(std::vector<std::string>, admin_methods, {},
          "Methods of GateAdminService that may be called, by their names in "
          "gate_admin.proto. Empty: all.");
ABSL_FLAG(int32_t, max_admin_calls, GateAdminService::Options().max_calls,
          "Calls of administration at once, [1, 4096]; each may hold a MiB. "
          "As many watches of jobs may be beside them, and a few calls that "
          "roll back or cancel.");

// Durable state. Each default's reason stands in
// server/catalog/catalog_options.h.
ABSL_FLAG(
    std::string, state_dir, "",
    "Folder of what is uploaded, calibrated and rolled out; made where it "
    "is missing. Empty: none of that, and no admin port.");
ABSL_FLAG(int64_t, max_state_mib, CatalogOptions().max_total_bytes >> 20,
          "MiB of all that --state_dir keeps; uploads beyond are refused. What "
          "a calibration job takes while it runs, 4 bytes a token of its "
          "dataset, is not counted.");
ABSL_FLAG(int64_t, max_upload_mib, CatalogOptions().max_upload_bytes >> 20,
          "MiB of one upload.");
ABSL_FLAG(int64_t, max_open_uploads, CatalogOptions().max_open_uploads,
          "Uploads that are not finalized, [1, 1000000].");
ABSL_FLAG(int64_t, max_datasets, CatalogOptions().max_datasets,
          "Datasets, [1, 1000000].");
ABSL_FLAG(int64_t, max_gate_sets, CatalogOptions().max_gate_sets,
          "Gate sets, [1, 1000000].");
ABSL_FLAG(int64_t, max_unfinished_jobs, CatalogOptions().max_unfinished_jobs,
          "Calibration jobs that have not ended, [1, 1000000].");
ABSL_FLAG(absl::Duration, upload_lifetime, CatalogOptions().upload_lifetime,
          "Uploads that nothing was written to for so long are deleted, at "
          "least 1s.");

namespace seer {
namespace {

// A line's end is no part of a token.
absl::StatusOr<std::string> ReadToken(const std::string& path) {
  SEER_ASSIGN_OR_RETURN(const std::string text, ReadFlagFile(path));
  const std::string token(absl::StripTrailingAsciiWhitespace(text));
  if (token.empty() && !path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " holds no token"));
  }
  return token;
}

CatalogOptions StateOptions() {
  CatalogOptions options;
  options.folder = absl::GetFlag(FLAGS_state_dir);
  options.max_total_bytes = BytesOfMib(absl::GetFlag(FLAGS_max_state_mib));
  options.max_upload_bytes = BytesOfMib(absl::GetFlag(FLAGS_max_upload_mib));
  options.max_open_uploads = absl::GetFlag(FLAGS_max_open_uploads);
  options.max_datasets = absl::GetFlag(FLAGS_max_datasets);
  options.max_gate_sets = absl::GetFlag(FLAGS_max_gate_sets);
  options.max_unfinished_jobs = absl::GetFlag(FLAGS_max_unfinished_jobs);
  options.upload_lifetime = absl::GetFlag(FLAGS_upload_lifetime);
  return options;
}

}  // namespace

absl::Status ReadAdminFlags(ServeOptions* options) {
  // A chunk of an upload, and what is around it.
  constexpr int kMaxReceiveBytes = 2 << 20;
  if (absl::GetFlag(FLAGS_state_dir).empty()) {
    if (absl::GetFlag(FLAGS_admin_token_file).empty() &&
        absl::GetFlag(FLAGS_admin_port_file).empty() &&
        absl::GetFlag(FLAGS_admin_methods).empty()) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError("--admin_... needs --state_dir");
  }
  AdminServer::Options& admin = options->admin.emplace();
  admin.catalog = StateOptions();
  admin.jobs.folder = admin.catalog.folder;
  SEER_ASSIGN_OR_RETURN(admin.service.access.token,
                        ReadToken(absl::GetFlag(FLAGS_admin_token_file)));
  const auto methods = absl::GetFlag(FLAGS_admin_methods);
  admin.service.access.methods = {methods.begin(), methods.end()};
  admin.service.max_calls = absl::GetFlag(FLAGS_max_admin_calls);
  admin.grpc = options->grpc;
  admin.grpc.address = {absl::GetFlag(FLAGS_admin_host),
                        absl::GetFlag(FLAGS_admin_port)};
  admin.grpc.max_receive_bytes = kMaxReceiveBytes;
  options->admin_port_file = absl::GetFlag(FLAGS_admin_port_file);
  return absl::OkStatus();
}

}  // namespace seer
