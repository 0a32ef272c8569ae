#include "client/connection/canceller.h"

#include "absl/time/clock.h"

namespace seer {

void Canceller::Cancel() {
  MutexLock lock(&mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* context : contexts_) context->TryCancel();
  changed_.NotifyAll();
}

bool Canceller::cancelled() const {
  MutexLock lock(&mutex_);
  return cancelled_;
}

bool Canceller::WaitFor(absl::Duration duration) const {
  const absl::Time end = absl::Now() + duration;
  MutexLock lock(&mutex_);
  while (!cancelled_) {
    const absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) break;
    changed_.WaitWithTimeout(&mutex_, left);
  }
  return cancelled_;
}

Canceller::Registration::Registration(Canceller* canceller,
                                      grpc::ClientContext* context)
    : canceller_(canceller), context_(context) {
  if (canceller_ == nullptr) return;
  MutexLock lock(&canceller_->mutex_);
  canceller_->contexts_.insert(context_);
  if (canceller_->cancelled_) context_->TryCancel();
}

Canceller::Registration::~Registration() {
  if (canceller_ == nullptr) return;
  MutexLock lock(&canceller_->mutex_);
  canceller_->contexts_.erase(context_);
}

}  // namespace seer
