#include "client/commands/admin/admin_session.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace seer {
namespace {

std::string InCollection(absl::string_view collection,
                         absl::string_view name_or_id) {
  return absl::StrContains(name_or_id, "/")
             ? std::string(name_or_id)
             : absl::StrCat(collection, "/", name_or_id);
}

}  // namespace

std::string FullDatasetName(absl::string_view name_or_id) {
  return InCollection("datasets", name_or_id);
}

std::string FullJobName(absl::string_view name_or_id) {
  return InCollection("calibrationJobs", name_or_id);
}

std::string FullGateSetName(absl::string_view name_or_id) {
  return InCollection("models/-/gateSets", name_or_id);
}

AdminSession::AdminSession(const Session& session)
    : session_(session), scope_(session.console.interrupts, &canceller_) {
  options_.timeout = session.timeout;
  options_.canceller = &canceller_;
}

void AdminSession::Print(const Json& json, absl::string_view text) const {
  if (session_.output.json) {
    session_.console.out << ToText(json) << std::endl;
  } else {
    session_.console.out << text << std::flush;
  }
}

}  // namespace seer
