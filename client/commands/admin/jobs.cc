#include "client/commands/admin/jobs.h"

#include <utility>

#include "base/status_macros.h"
#include "client/commands/admin/admin_session.h"
#include "client/commands/admin/one_call_command.h"
#include "client/commands/admin/wait_for_job.h"
#include "client/output/admin/job_progress.h"
#include "client/output/admin/resource_json.h"
#include "client/output/admin/resource_text.h"

namespace seer {
namespace {

// GetCalibrationJob and its like.
using JobMethod = absl::StatusOr<v1::CalibrationJob> (GateAdminClient::*)(
    const std::string&, const CallOptions&) const;

std::unique_ptr<Command> MakeJobCommand(std::string name, std::string summary,
                                        std::string description,
                                        JobMethod method) {
  OneCallCommand call;
  call.name = std::move(name);
  call.summary = std::move(summary);
  call.arguments = "NAME";
  call.description = std::move(description);
  call.run = [method](const AdminSession& admin,
                      const std::vector<std::string>& arguments) {
    const absl::StatusOr<v1::CalibrationJob> job =
        (admin.client().*method)(FullJobName(arguments[0]), admin.options());
    if (!job.ok()) return job.status();
    admin.Print(CalibrationJobJson(*job), CalibrationJobText(*job));
    return absl::OkStatus();
  };
  return MakeOneCallCommand(std::move(call));
}

class JobsWatchCommand final : public Command {
 public:
  std::string name() const override { return "jobs watch"; }
  std::string summary() const override {
    return "show a job's progress until it ends, then its quality";
  }
  std::string arguments() const override { return "[flags] NAME"; }
  std::string description() const override {
    return "Interrupted, it leaves the job as it is.\n";
  }
  ServerPort port() const override { return ServerPort::kGateAdmin; }
  void AddFlags(FlagSet*) override {}

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console&) override {
    SEER_RETURN_IF_ERROR(CheckArguments(positional, "NAME"));
    job_ = FullJobName(positional[0]);
    return absl::OkStatus();
  }

  absl::Status Run(const Session& session) override {
    const AdminSession admin(session);
    JobProgress progress(session.console, session.output.quiet);
    SEER_ASSIGN_OR_RETURN(const v1::CalibrationJob job,
                          WaitForJob(admin, job_, &progress));
    admin.Print(CalibrationJobJson(job), CalibrationJobText(job));
    return absl::OkStatus();
  }

 private:
  std::string job_;
};

absl::Status ListJobs(const AdminSession& admin,
                      const std::vector<std::string>&) {
  SEER_ASSIGN_OR_RETURN(const std::vector<v1::CalibrationJob> jobs,
                        admin.client().ListCalibrationJobs(admin.options()));
  admin.Print(ListJson("calibration_jobs", jobs, CalibrationJobJson),
              CalibrationJobsText(jobs));
  return absl::OkStatus();
}

}  // namespace

std::vector<std::unique_ptr<Command>> MakeJobsCommands() {
  using C = GateAdminClient;
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeOneCallCommand(
      {"jobs list", "list calibration jobs, newest first", "", "", ListJobs}));
  commands.push_back(
      MakeJobCommand("jobs get", "show a job, and the quality of what it made",
                     "", &C::GetCalibrationJob));
  commands.push_back(std::make_unique<JobsWatchCommand>());
  commands.push_back(MakeJobCommand(
      "jobs pause", "hold a job that is queued or runs",
      "A checkpoint is written first.\n", &C::PauseCalibrationJob));
  commands.push_back(MakeJobCommand("jobs resume", "queue a paused job again",
                                    "", &C::ResumeCalibrationJob));
  commands.push_back(MakeJobCommand("jobs cancel", "end a job for good",
                                    "Its checkpoint is deleted.\n",
                                    &C::CancelCalibrationJob));
  return commands;
}

}  // namespace seer
