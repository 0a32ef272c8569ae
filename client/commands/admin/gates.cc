#include "client/commands/admin/gates.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file/atomic_file.h"
#include "base/status_macros.h"
#include "client/commands/admin/admin_session.h"
#include "client/commands/admin/one_call_command.h"
#include "client/commands/admin/send_upload.h"
#include "client/connection/error_details.h"
#include "client/output/admin/job_progress.h"
#include "client/output/admin/resource_json.h"
#include "client/output/admin/resource_text.h"

namespace seer {
namespace {

class GatesUploadCommand final : public Command {
 public:
  std::string name() const override { return "gates upload"; }
  std::string summary() const override { return "add a gate set's file"; }
  std::string arguments() const override { return "[flags] FILE"; }
  std::string description() const override {
    return "The file is checked against the model served. A file that is there "
           "already\nanswers with the gate set that it is.\n";
  }
  ServerPort port() const override { return ServerPort::kGateAdmin; }
  void AddFlags(FlagSet* flags) override {
    flags->Group("Gate set");
    flags->Add("label", &label_, "TEXT",
               "a name for people; default: the file's name");
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console&) override {
    SEER_RETURN_IF_ERROR(CheckArguments(positional, "FILE"));
    SEER_ASSIGN_OR_RETURN(files_, UploadFiles::GateSet(positional[0]));
    if (!label_.empty()) files_->set_display_name(label_);
    return absl::OkStatus();
  }

  absl::Status Run(const Session& session) override {
    const AdminSession admin(session);
    JobProgress progress(session.console, session.output.quiet);
    SEER_ASSIGN_OR_RETURN(const v1::FinalizeUploadResponse response,
                          SendUpload(admin, *files_, &progress));
    admin.Print(GateSetJson(response.gate_set()),
                GateSetText(response.gate_set()));
    return absl::OkStatus();
  }

 private:
  std::string label_;
  std::optional<UploadFiles> files_;
};

absl::Status List(const AdminSession& admin, const std::vector<std::string>&) {
  SEER_ASSIGN_OR_RETURN(
      const std::vector<v1::GateSet> gate_sets,
      admin.client().ListGateSets("models/-", admin.options()));
  admin.Print(ListJson("gate_sets", gate_sets, GateSetJson),
              GateSetsText(gate_sets));
  return absl::OkStatus();
}

absl::Status Get(const AdminSession& admin,
                 const std::vector<std::string>& arguments) {
  SEER_ASSIGN_OR_RETURN(const v1::GateSet gate_set,
                        admin.client().GetGateSet(FullGateSetName(arguments[0]),
                                                  admin.options()));
  admin.Print(GateSetJson(gate_set), GateSetText(gate_set));
  return absl::OkStatus();
}

absl::Status Validate(const AdminSession& admin,
                      const std::vector<std::string>& arguments) {
  const std::string name = FullGateSetName(arguments[0]);
  SEER_ASSIGN_OR_RETURN(const v1::ValidateGateSetResponse validation,
                        admin.client().ValidateGateSet(name, admin.options()));
  if (!validation.valid()) {
    return WithErrorInfo(
        absl::FailedPreconditionError(absl::StrCat(
            name, " is not valid: ", validation.problem().message())),
        validation.problem().reason(), {});
  }
  admin.Print(ValidationJson(validation), "valid\n");
  return absl::OkStatus();
}

absl::Status Download(const AdminSession& admin,
                      const std::vector<std::string>& arguments) {
  const std::string name = FullGateSetName(arguments[0]);
  SEER_ASSIGN_OR_RETURN(const std::string bytes,
                        admin.client().DownloadGateSet(name, admin.options()));
  SEER_RETURN_IF_ERROR(WriteFileAtomically(arguments[1], {bytes}));
  admin.Print({{"name", name}, {"file", arguments[1]}, {"size", bytes.size()}},
              "");
  return absl::OkStatus();
}

absl::Status Delete(const AdminSession& admin,
                    const std::vector<std::string>& arguments) {
  SEER_RETURN_IF_ERROR(admin.client().DeleteGateSet(
      FullGateSetName(arguments[0]), admin.options()));
  admin.Print(Json::object(), "");
  return absl::OkStatus();
}

}  // namespace

std::vector<std::unique_ptr<Command>> MakeGatesCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeOneCallCommand(
      {"gates list", "list gate sets, newest first", "", "", List}));
  commands.push_back(MakeOneCallCommand(
      {"gates get", "show a gate set and its quality", "NAME", "", Get}));
  commands.push_back(MakeOneCallCommand(
      {"gates validate", "check that a gate set could be activated", "NAME",
       "Refused with the reason where it could not.\n", Validate}));
  commands.push_back(std::make_unique<GatesUploadCommand>());
  commands.push_back(
      MakeOneCallCommand({"gates download", "write a gate set to a file",
                          "NAME FILE", "", Download}));
  commands.push_back(MakeOneCallCommand(
      {"gates delete", "delete a gate set", "NAME",
       "The stable, canary and previous ones cannot be deleted.\n", Delete}));
  return commands;
}

}  // namespace seer
