#include "client/commands/admin/rollout.h"

#include <string>

#include "base/status_macros.h"
#include "client/admin/rollout_change.h"
#include "client/commands/admin/admin_session.h"
#include "client/commands/admin/one_call_command.h"
#include "client/output/admin/resource_json.h"
#include "client/output/admin/resource_text.h"

namespace seer {
namespace {

absl::Status PrintRollout(const AdminSession& admin,
                          const absl::StatusOr<v1::GateRollout>& rollout) {
  if (!rollout.ok()) return rollout.status();
  admin.Print(RolloutJson(*rollout), RolloutText(*rollout));
  return absl::OkStatus();
}

class GatesActivateCommand final : public Command {
 public:
  std::string name() const override { return "gates activate"; }
  std::string summary() const override {
    return "make a gate set the stable one, or a canary";
  }
  std::string arguments() const override { return "[flags] NAME"; }
  std::string description() const override {
    return "Requests that run keep the gate set they began with. If somebody "
           "else changes\nthe rollout meanwhile, nothing is changed.\n";
  }
  ServerPort port() const override { return ServerPort::kGateAdmin; }
  void AddFlags(FlagSet* flags) override {
    flags->Group("Activation");
    flags->Add("canary", &activate_.canary_fraction, "FRACTION",
               "make it the canary of this share of the requests, 0 to 1; "
               "default: make it stable");
    flags->Add("validate_only", &activate_.validate_only, "",
               "load and check it, and change nothing");
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console&) override {
    SEER_RETURN_IF_ERROR(CheckArguments(positional, "NAME"));
    gate_set_ = FullGateSetName(positional[0]);
    return absl::OkStatus();
  }

  absl::Status Run(const Session& session) override {
    const AdminSession admin(session);
    return PrintRollout(admin, ActivateGateSet(admin.client(), gate_set_,
                                               activate_, admin.options()));
  }

 private:
  ActivateOptions activate_;
  std::string gate_set_;
};

absl::Status Show(const AdminSession& admin, const std::vector<std::string>&) {
  return PrintRollout(
      admin, admin.client().GetGateRollout(kRolloutName, admin.options()));
}

absl::Status Promote(const AdminSession& admin,
                     const std::vector<std::string>&) {
  return PrintRollout(
      admin, PromoteCanary(admin.client(), kRolloutName, admin.options()));
}

absl::Status Back(const AdminSession& admin, const std::vector<std::string>&) {
  return PrintRollout(admin,
                      RollBack(admin.client(), kRolloutName, admin.options()));
}

absl::Status History(const AdminSession& admin,
                     const std::vector<std::string>&) {
  SEER_ASSIGN_OR_RETURN(
      const std::vector<v1::GateRolloutRevision> revisions,
      admin.client().ListGateRolloutRevisions(kRolloutName, admin.options()));
  admin.Print(ListJson("revisions", revisions, RevisionJson),
              RevisionsText(revisions));
  return absl::OkStatus();
}

}  // namespace

std::vector<std::unique_ptr<Command>> MakeRolloutCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeOneCallCommand(
      {"gates rollout", "show which gate sets requests use", "", "", Show}));
  commands.push_back(std::make_unique<GatesActivateCommand>());
  commands.push_back(MakeOneCallCommand(
      {"gates promote", "make the canary stable", "", "", Promote}));
  commands.push_back(MakeOneCallCommand(
      {"gates rollback", "take back the last step", "",
       "Ends the canary; without one, the stable and the previous gate set "
       "change places.\n",
       Back}));
  commands.push_back(MakeOneCallCommand(
      {"gates history", "list what the rollout was, newest first", "", "",
       History}));
  return commands;
}

}  // namespace seer
