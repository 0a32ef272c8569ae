#include "server/calibration_jobs/calibration_jobs.h"

#include <array>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/calibration_jobs/run/job_failure.h"

namespace seer {
namespace {

// Starts since the last checkpoint, after which a job is given up.
constexpr int64_t kMaxAttempts = 3;

absl::Status Stopping() { return absl::UnavailableError("the server stops"); }

JobResultLabel LabelOf(JobState state) {
  if (state == JobState::kSucceeded) return JobResultLabel::kSucceeded;
  return state == JobState::kFailed ? JobResultLabel::kFailed
                                    : JobResultLabel::kCancelled;
}

// Of keeping a gate set: there is no room for it now.
bool MayBeKeptLater(const absl::Status& status) {
  const std::optional<ErrorReason> reason = ReasonOf(status);
  return IsTroubleOfDisk(status) ||
         (reason && reason->reason == "QUOTA_GATE_SETS");
}

}  // namespace

CalibrationJobs::CalibrationJobs(const JobParts& parts,
                                 const JobOptions& options)
    : parts_(parts),
      options_(options),
      watches_([this](const std::string& id) { return Get(id); }) {
  {
    MutexLock lock(&mutex_);
    NoteChange("");
  }
  runner_ = std::thread([this] { Run(); });
}

CalibrationJobs::~CalibrationJobs() { Stop(absl::Now()); }

void CalibrationJobs::Stop(absl::Time deadline) {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    if (current_) {
      current_->LeaveBy(deadline);
      current_->Ask(JobWish::kStop);
    }
    changed_.NotifyAll();
  }
  watches_.End();
  MutexLock lock(&join_mutex_);
  if (runner_.joinable()) runner_.join();
}

absl::Status CalibrationJobs::CheckDataset(const CalibrationSpec& spec) {
  SEER_ASSIGN_OR_RETURN(const Dataset dataset,
                        parts_.catalog->GetDataset(spec.dataset_id));
  if (dataset.damage) {
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "the dataset is damaged: ", dataset.damage->message)),
                      {"DAMAGED", {}, {}});
  }
  const int64_t needed = 2 * spec.sequence_len;
  if (dataset.facts.num_tokens.value_or(needed) >= needed) {
    return absl::OkStatus();
  }
  return WithReason(absl::FailedPreconditionError(
                        "the dataset is shorter than two sequences"),
                    {"DATASET_TOO_SHORT", needed, dataset.facts.num_tokens});
}

absl::StatusOr<JobView> CalibrationJobs::Create(const CalibrationSpec& spec,
                                                const RequestKey& request) {
  MutexLock lock(&mutex_);
  if (stopping_) return Stopping();
  // A repeated call finds its job, whatever has become of the dataset.
  SEER_ASSIGN_OR_RETURN(std::optional<CalibrationJob> earlier,
                        parts_.catalog->FindJob(request));
  if (earlier) return ViewOf(*std::move(earlier));
  SEER_RETURN_IF_ERROR(CheckDataset(spec));
  SEER_ASSIGN_OR_RETURN(CalibrationJob job,
                        parts_.catalog->CreateJob(spec, request, absl::Now()));
  NoteChange(job.id);
  return ViewOf(std::move(job));
}

absl::StatusOr<JobView> CalibrationJobs::Get(absl::string_view id) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(CalibrationJob job, parts_.catalog->GetJob(id));
  return ViewOf(std::move(job));
}

absl::StatusOr<Page<JobView>> CalibrationJobs::List(const PageRequest& page) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(Page<CalibrationJob> jobs,
                        parts_.catalog->ListJobs(page));
  Page<JobView> views;
  views.next_token = std::move(jobs.next_token);
  for (CalibrationJob& job : jobs.items) {
    views.items.push_back(ViewOf(std::move(job)));
  }
  return views;
}

void CalibrationJobs::Pause(absl::string_view id, Reply reply) {
  absl::StatusOr<JobView> answer = Stopping();
  {
    MutexLock lock(&mutex_);
    if (!stopping_ && IsCurrent(id) && current_->wish() != JobWish::kCancel) {
      pausing_.push_back(std::move(reply));
      current_->Ask(JobWish::kPause);
      changed_.NotifyAll();
      return;
    }
    if (!stopping_) {
      absl::StatusOr<CalibrationJob> job = parts_.catalog->PauseJob(id);
      NoteChange(std::string(id));
      if (job.ok()) {
        answer = ViewOf(*std::move(job));
      } else {
        answer = job.status();
      }
    }
  }
  reply(std::move(answer));
}

absl::StatusOr<JobView> CalibrationJobs::Resume(absl::string_view id) {
  std::vector<Reply> replies;
  absl::StatusOr<JobView> answer = Stopping();
  {
    MutexLock lock(&mutex_);
    if (stopping_) return answer;
    SEER_ASSIGN_OR_RETURN(CalibrationJob job, parts_.catalog->ResumeJob(id));
    if (IsCurrent(id)) {
      current_->Withdraw();
      replies.swap(pausing_);
    }
    NoteChange(job.id);
    answer = ViewOf(std::move(job));
  }
  for (const Reply& reply : replies) reply(answer);
  return answer;
}

absl::StatusOr<JobView> CalibrationJobs::Cancel(absl::string_view id) {
  MutexLock lock(&mutex_);
  if (stopping_) return Stopping();
  std::optional<CalibrationProgress> progress;
  if (IsCurrent(id)) progress = current_->progress().progress;
  SEER_ASSIGN_OR_RETURN(const CalibrationJob before,
                        parts_.catalog->GetJob(id));
  SEER_ASSIGN_OR_RETURN(CalibrationJob job,
                        parts_.catalog->CancelJob(id, absl::Now(), progress));
  if (IsCurrent(id)) current_->Ask(JobWish::kCancel);
  if (!HasEnded(before)) NoteEnd(job);
  NoteChange(job.id);
  return ViewOf(std::move(job));
}

void CalibrationJobs::Run() {
  while (std::optional<CalibrationJob> job = NextJob()) {
    std::shared_ptr<JobControl> control;
    {
      MutexLock lock(&mutex_);
      control = current_;
    }
    Log(LogLevel::kInfo, "a calibration job runs",
        {{"job", job->id},
         {"attempt", job->attempts},
         {"from_step", job->progress.step}});
    EndRun(JobRun(parts_, options_, *std::move(job), control.get()).Run());
  }
}

std::optional<CalibrationJob> CalibrationJobs::NextJob() {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    if (const absl::Duration left = not_before_ - absl::Now();
        left > absl::ZeroDuration()) {
      changed_.WaitWithTimeout(&mutex_, left);
      continue;
    }
    absl::StatusOr<std::optional<CalibrationJob>> job = TryNextJob();
    if (!job.ok()) {
      Log(LogLevel::kError, "calibration jobs wait for the disk",
          {{"error", job.status().ToString()}});
      not_before_ = absl::Now() + options_.retry_delay;
    } else if (*job) {
      return *std::move(job);
    } else {
      changed_.Wait(&mutex_);
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<CalibrationJob>> CalibrationJobs::TryNextJob() {
  if (unwritten_) {
    SEER_RETURN_IF_ERROR(WriteEnd(*unwritten_));
    unwritten_.reset();
  }
  if (!not_let_go_.empty()) {
    SEER_RETURN_IF_ERROR(LetGo(not_let_go_));
    not_let_go_.clear();
  }
  while (true) {
    SEER_ASSIGN_OR_RETURN(
        const std::vector<CalibrationJob> jobs,
        parts_.catalog->JobsToRun(parts_.engine->model().model_id));
    if (jobs.empty()) return std::optional<CalibrationJob>();
    const CalibrationJob& next = jobs[0];
    if (next.attempts >= kMaxAttempts) {
      SEER_RETURN_IF_ERROR(WriteEnd(
          {next.id,
           {"CRASHED", absl::StrCat("the server went down ", next.attempts,
                                    " times while the job ran")},
           next.progress}));
      continue;
    }
    SEER_ASSIGN_OR_RETURN(CalibrationJob job,
                          parts_.catalog->StartJob(next.id, absl::Now()));
    current_ = std::make_shared<JobControl>(job.id);
    LiveProgress progress;
    progress.progress = job.progress;
    progress.progress.phase = "preparing";
    current_->Publish(std::move(progress));
    NoteChange(job.id);
    return std::optional<CalibrationJob>(std::move(job));
  }
}

absl::Status CalibrationJobs::WriteEnd(const UnwrittenEnd& end) {
  const absl::StatusOr<CalibrationJob> job =
      parts_.catalog->FailJob(end.id, end.failure, absl::Now(), end.progress);
  if (IsTroubleOfDisk(job.status())) return job.status();
  if (job.ok()) {
    Log(LogLevel::kError, "a calibration job failed",
        {{"job", end.id},
         {"reason", end.failure.reason},
         {"why", end.failure.message}});
    NoteEnd(*job);
  }
  NoteChange(end.id);
  return absl::OkStatus();
}

absl::Status CalibrationJobs::LetGo(const std::string& id) {
  const absl::Status let_go = parts_.catalog->LetGoOfJob(id).status();
  // It may have been cancelled and forgotten; then it is not this one's.
  return IsTroubleOfDisk(let_go) ? let_go : absl::OkStatus();
}

absl::Status CalibrationJobs::LeaveOff() {
  switch (current_->wish()) {
    case JobWish::kPause:
      return parts_.catalog->PauseJob(current_->id()).status();
    case JobWish::kCancel:
      return absl::OkStatus();
    case JobWish::kNone:
    case JobWish::kStop:
      break;
  }
  return LetGo(current_->id());
}

absl::Status CalibrationJobs::Keep(const FinishedJob& finished) {
  const std::string& id = current_->id();
  SEER_ASSIGN_OR_RETURN(
      const GateSetRecord gate_set,
      parts_.catalog->CompleteJob(id, finished.result, finished.facts,
                                  {finished.file}, absl::Now()));
  Log(LogLevel::kInfo, "a calibration job succeeded",
      {{"job", id}, {"gate_set", gate_set.id}});
  const absl::StatusOr<CalibrationJob> job = parts_.catalog->GetJob(id);
  if (job.ok()) NoteEnd(*job);
  return absl::OkStatus();
}

absl::Status CalibrationJobs::KeepOnceThereIsRoom(const FinishedJob& finished) {
  while (current_->wish() != JobWish::kCancel) {
    const absl::Status kept = Keep(finished);
    if (!MayBeKeptLater(kept)) return kept;
    Log(LogLevel::kError,
        "a calibration job's gate set cannot be kept; it is held, and tried "
        "again",
        {{"job", current_->id()}, {"error", kept.ToString()}});
    const absl::Time again = absl::Now() + options_.retry_delay;
    while (current_->wish() == JobWish::kNone && absl::Now() < again) {
      changed_.WaitWithTimeout(&mutex_, again - absl::Now());
    }
    if (current_->wish() != JobWish::kNone) break;
  }
  return absl::CancelledError("the job was asked to leave off");
}

void CalibrationJobs::EndRun(const absl::StatusOr<FinishedJob>& finished) {
  std::vector<Reply> replies;
  absl::StatusOr<JobView> answer = Stopping();
  {
    MutexLock lock(&mutex_);
    const std::string id = current_->id();
    absl::Status status = finished.status();
    if (current_->wish() == JobWish::kCancel) {
      status = absl::CancelledError("the job was cancelled");
    } else if (finished.ok()) {
      status = KeepOnceThereIsRoom(*finished);
    }
    absl::Status left_off;
    if (absl::IsCancelled(status) || absl::IsUnavailable(status)) {
      left_off = LeaveOff();
      if (!left_off.ok()) not_let_go_ = id;
      if (!left_off.ok() || absl::IsUnavailable(status)) {
        not_before_ = absl::Now() + options_.retry_delay;
        Log(LogLevel::kWarning, "a calibration job left off",
            {{"job", id}, {"error", status.ToString()}});
      }
    } else if (!status.ok()) {
      Log(LogLevel::kError, "a calibration job goes no further",
          {{"job", id}, {"error", status.ToString()}});
      unwritten_ =
          UnwrittenEnd{id, FailureOf(status), current_->progress().progress};
    }
    parts_.metrics->ClearProgress();
    current_.reset();
    if (unwritten_ && WriteEnd(*unwritten_).ok()) unwritten_.reset();
    replies.swap(pausing_);
    absl::StatusOr<CalibrationJob> job = parts_.catalog->GetJob(id);
    // To those that wait for it to be paused, what has ended is JOB_STATE.
    if (job.ok() && HasEnded(*job)) job = parts_.catalog->PauseJob(id);
    if (!left_off.ok()) job = left_off;
    if (job.ok()) {
      answer = ViewOf(*std::move(job));
    } else {
      answer = job.status();
    }
    NoteChange(id);
  }
  for (const Reply& reply : replies) reply(answer);
}

void CalibrationJobs::NoteChange(const std::string& id) {
  changed_.NotifyAll();
  if (!id.empty()) watches_.Wake(id);
  const absl::StatusOr<std::map<JobState, int64_t>> counts =
      parts_.catalog->CountJobs();
  if (!counts.ok()) return;
  std::array<int64_t, kNumJobStateLabels> by_label = {};
  for (const auto& [state, count] : *counts) {
    by_label[static_cast<int>(state) - 1] = count;
  }
  parts_.metrics->SetJobs(by_label);
}

void CalibrationJobs::NoteEnd(const CalibrationJob& job) {
  if (job.start_time == absl::InfinitePast()) return;
  parts_.metrics->ObserveEnd(LabelOf(job.state), job.end_time - job.start_time);
}

JobView CalibrationJobs::ViewOf(CalibrationJob record) const {
  JobView view;
  if (IsCurrent(record.id) && record.state == JobState::kRunning) {
    view.live = current_->progress();
  }
  // As it was when a server of its model went down; now it waits for the next.
  if (record.state == JobState::kRunning &&
      record.spec.model != parts_.engine->model().model_id) {
    record.state = JobState::kQueued;
  }
  view.record = std::move(record);
  return view;
}

bool CalibrationJobs::IsCurrent(absl::string_view id) const {
  return current_ != nullptr && current_->id() == id;
}

}  // namespace seer
