#include "client/commands/admin/calibrate.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/admin/rollout_change.h"
#include "client/commands/admin/admin_session.h"
#include "client/commands/admin/calibration_flags.h"
#include "client/commands/admin/dataset_flags.h"
#include "client/commands/admin/send_upload.h"
#include "client/commands/admin/wait_for_job.h"
#include "client/connection/error_details.h"
#include "client/output/admin/job_progress.h"
#include "client/output/admin/resource_json.h"
#include "client/output/admin/resource_text.h"

namespace seer {
namespace {

class CalibrateCommand final : public Command {
 public:
  std::string name() const override { return "calibrate"; }
  std::string summary() const override {
    return "train a gate on text, and show what it is worth";
  }
  std::string arguments() const override {
    return "[flags] FILE... | --dataset=NAME";
  }
  std::string description() const override {
    return "Uploads the files as one dataset, starts a job, shows its progress "
           "and then the\nquality of the gate set it made. Of a design without "
           "weights that is a budget\nprofile, and nothing is trained. "
           "Interrupted, an upload goes on when it is sent\nagain, and a job "
           "goes on by itself: see seerctl jobs.\n";
  }
  ServerPort port() const override { return ServerPort::kGateAdmin; }

  void AddFlags(FlagSet* flags) override {
    dataset_flags_.AddTo(flags);
    flags->Add("dataset", &dataset_, "NAME",
               "take this dataset instead of files");
    calibration_.AddTo(flags);
    flags->Group("Afterwards");
    flags->Add("activate", &activate_, "", "make the gate set the stable one");
    flags->Add("canary", &canary_, "FRACTION",
               "make it the canary of this share of the requests, 0 to 1");
    flags->Add("detach", &detach_, "",
               "do not wait: print the job's name and leave");
    flags->Add("validate_only", &validate_only_, "",
               "check the settings for --dataset, and start nothing");
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console& console) override {
    if (activate_ && canary_) {
      return absl::InvalidArgumentError("give one of --activate, --canary");
    }
    if (detach_ && (activate_ || canary_)) {
      return absl::InvalidArgumentError(
          "--detach goes with none of --activate, --canary");
    }
    if (validate_only_ && dataset_.empty()) {
      return absl::InvalidArgumentError("--validate_only needs --dataset");
    }
    SEER_ASSIGN_OR_RETURN(*request_.mutable_calibration_job(),
                          calibration_.Job());
    request_.mutable_calibration_job()->set_display_name(
        dataset_flags_.label());
    if (dataset_.empty()) {
      SEER_ASSIGN_OR_RETURN(files_,
                            dataset_flags_.Files(positional, console.in));
    } else if (!positional.empty()) {
      return absl::InvalidArgumentError("--dataset goes with no FILE");
    }
    return absl::OkStatus();
  }

  absl::Status Run(const Session& session) override {
    const AdminSession admin(session);
    JobProgress progress(session.console, session.output.quiet);
    SEER_ASSIGN_OR_RETURN(v1::CalibrationJob job, Start(admin, &progress));
    if (validate_only_) {
      admin.Print(CalibrationJobJson(job), CalibrationJobText(job));
      return absl::OkStatus();
    }
    if (detach_) {
      admin.Print(CalibrationJobJson(job), absl::StrCat(job.name(), "\n"));
      return absl::OkStatus();
    }
    SEER_ASSIGN_OR_RETURN(job, WaitForJob(admin, job.name(), &progress));
    return Finish(session, admin, job);
  }

 private:
  absl::StatusOr<v1::CalibrationJob> Start(const AdminSession& admin,
                                           JobProgress* progress) {
    std::string dataset = FullDatasetName(dataset_);
    if (files_.has_value()) {
      SEER_ASSIGN_OR_RETURN(const v1::FinalizeUploadResponse response,
                            SendUpload(admin, *files_, progress));
      dataset = response.dataset().name();
    }
    request_.mutable_calibration_job()->set_dataset(dataset);
    request_.set_request_id(NewRequestId());
    request_.set_validate_only(validate_only_);
    absl::StatusOr<v1::CalibrationJob> job =
        admin.client().Call(&GateAdminClient::Stub::CreateCalibrationJob,
                            request_, admin.options());
    if (!job.ok() && files_.has_value()) {
      return WithNote(job.status(), absl::StrCat("the text is ", dataset));
    }
    return job;
  }

  absl::Status Finish(const Session& session, const AdminSession& admin,
                      const v1::CalibrationJob& job) const {
    const std::string text = CalibrationJobText(job);
    Json json = CalibrationJobJson(job);
    json["rollout"] = nullptr;
    if (!activate_ && !canary_) {
      admin.Print(json, text);
      return absl::OkStatus();
    }
    // The quality is of use even where activation fails.
    if (!session.output.json) session.console.out << text << std::flush;
    ActivateOptions activate;
    activate.canary_fraction = canary_;
    const absl::StatusOr<v1::GateRollout> rollout = ActivateGateSet(
        admin.client(), job.gate_set(), activate, admin.options());
    if (!rollout.ok()) {
      return WithNote(rollout.status(),
                      absl::StrCat("the gate set is ", job.gate_set()));
    }
    json["rollout"] = RolloutJson(*rollout);
    admin.Print(json, absl::StrCat("\n", RolloutText(*rollout)));
    return absl::OkStatus();
  }

  DatasetFlags dataset_flags_;
  std::string dataset_;
  CalibrationFlags calibration_;
  bool activate_ = false;
  std::optional<double> canary_;
  bool detach_ = false;
  bool validate_only_ = false;

  v1::CreateCalibrationJobRequest request_;
  std::optional<UploadFiles> files_;
};

}  // namespace

std::unique_ptr<Command> MakeCalibrateCommand() {
  return std::make_unique<CalibrateCommand>();
}

}  // namespace seer
