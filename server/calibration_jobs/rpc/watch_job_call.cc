#include "server/calibration_jobs/rpc/watch_job_call.h"

#include <utility>

#include "base/status_macros.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/admin/codec/resource_names.h"
#include "server/calibration_jobs/rpc/job_codec.h"
#include "server/completion/raw_message.h"

namespace seer {

bool WatchJobCall::Frames::Show(const absl::StatusOr<JobView>& job) {
  WatchJobCall* call = nullptr;
  bool is_last = false;
  {
    MutexLock lock(&mutex_);
    if (call_ == nullptr) return false;
    call = call_;
    if (job.ok()) {
      const v1::CalibrationJob message = EncodeJob(*job);
      std::string bytes = message.SerializeAsString();
      if (bytes == last_) return false;
      last_ = std::move(bytes);
      frame_ = SerializeMessage(message);
      is_last = HasEnded(job->record);
    }
    if (!job.ok() || is_last) {
      call_ = nullptr;
    } else {
      is_writing_ = true;
    }
  }
  if (!job.ok()) {
    call->FinishWith(job.status());
    return true;
  }
  call->BeginWait();
  if (is_last) {
    call->StartWriteAndFinish(&frame_, grpc::WriteOptions(),
                              call->End(absl::OkStatus()));
  } else {
    call->StartWrite(&frame_);
  }
  return true;
}

bool WatchJobCall::Frames::Cancel() {
  MutexLock lock(&mutex_);
  is_cancelled_ = true;
  return !is_writing_ && std::exchange(call_, nullptr) != nullptr;
}

bool WatchJobCall::Frames::EndWrite(bool ok) {
  MutexLock lock(&mutex_);
  is_writing_ = false;
  return (!ok || is_cancelled_) && std::exchange(call_, nullptr) != nullptr;
}

WatchJobCall::WatchJobCall(const AdminCallParts& call, JobWatches* watches,
                           grpc::CallbackServerContext* context,
                           const grpc::ByteBuffer& request)
    : AdminCall(call, "WatchCalibrationJob", context, AdminCallKind::kWatch),
      watches_(watches),
      request_(request),
      frames_(std::make_shared<Frames>(this)) {}

void WatchJobCall::Begin() {
  absl::Status status = Enter();
  if (status.ok()) status = Watch();
  if (!status.ok() && frames_->Cancel()) FinishWith(std::move(status));
}

absl::Status WatchJobCall::Watch() {
  v1::WatchCalibrationJobRequest request;
  SEER_RETURN_IF_ERROR(ParseMessage(request_, request));
  SetResource(request.name());
  SEER_ASSIGN_OR_RETURN(const std::string id,
                        ParseCalibrationJobName(request.name(), "name"));
  SEER_ASSIGN_OR_RETURN(const absl::Duration interval,
                        DecodeMinInterval(request));
  watches_->Add(frames_, id, interval);
  return absl::OkStatus();
}

void WatchJobCall::FinishWith(absl::Status status) {
  Finish(End(std::move(status)));
}

void WatchJobCall::OnWriteDone(bool ok) {
  EndWait();
  if (frames_->EndWrite(ok)) {
    FinishWith(absl::CancelledError("cancelled"));
  } else {
    watches_->Ready(frames_.get());
  }
}

void WatchJobCall::OnCancel() {
  if (frames_->Cancel()) FinishWith(absl::CancelledError("cancelled"));
}

void WatchJobCall::OnDone() {
  watches_->Remove(frames_.get());
  Leave();
  delete this;
}

}  // namespace seer
