#include "server/calibration_jobs/job_watches.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"

namespace seer {

JobWatches::JobWatches(Look look)
    : look_(std::move(look)), thread_([this] { Run(); }) {}

JobWatches::~JobWatches() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void JobWatches::Add(std::shared_ptr<JobWatcher> watcher, const std::string& id,
                     absl::Duration min_interval) {
  MutexLock lock(&mutex_);
  Watch watch;
  watch.watcher = std::move(watcher);
  watch.id = id;
  watch.min_interval = min_interval;
  watch.due = absl::InfinitePast();
  watches_.push_back(std::move(watch));
  changed_.NotifyAll();
}

void JobWatches::Ready(const JobWatcher* watcher) {
  MutexLock lock(&mutex_);
  Watch* const watch = Find(watcher);
  if (watch == nullptr) return;
  watch->is_shown = false;
  changed_.NotifyAll();
}

void JobWatches::Remove(const JobWatcher* watcher) {
  std::shared_ptr<JobWatcher> removed;  // may go, but not under the lock
  MutexLock lock(&mutex_);
  for (auto watch = watches_.begin(); watch != watches_.end(); ++watch) {
    if (watch->watcher.get() != watcher) continue;
    removed = std::move(watch->watcher);
    watches_.erase(watch);
    return;
  }
}

void JobWatches::Wake(const std::string& id) {
  MutexLock lock(&mutex_);
  for (Watch& watch : watches_) {
    if (watch.id == id) watch.woken = true;
  }
  changed_.NotifyAll();
}

void JobWatches::End() {
  MutexLock lock(&mutex_);
  has_ended_ = true;
  changed_.NotifyAll();
}

JobWatches::Watch* JobWatches::Find(const JobWatcher* watcher) {
  for (Watch& watch : watches_) {
    if (watch.watcher.get() == watcher) return &watch;
  }
  return nullptr;
}

JobWatches::Watch* JobWatches::NextDue(absl::Time now, absl::Time& wait_until) {
  for (Watch& watch : watches_) {
    if (watch.is_shown) continue;
    if (watch.due <= now || watch.woken || has_ended_) return &watch;
    wait_until = std::min(wait_until, watch.due);
  }
  return nullptr;
}

void JobWatches::LookAt(Watch& watch) {
  const std::shared_ptr<JobWatcher> watcher = watch.watcher;
  const std::string id = watch.id;
  const bool is_due = watch.due <= absl::Now();
  const bool has_ended = has_ended_;
  watch.is_shown = true;
  watch.woken = false;
  mutex_.Unlock();
  absl::StatusOr<JobView> job = absl::UnavailableError("the server stops");
  if (!has_ended) job = look_(id);
  const absl::Time now = absl::Now();
  const bool is_last = !job.ok() || HasEnded(job->record);
  const bool is_shown = (is_due || is_last) && watcher->Show(job);
  mutex_.Lock();
  // It may have been removed meanwhile, and its place be another's.
  Watch* const same = Find(watcher.get());
  if (same == nullptr) return;
  if (is_due) same->due = now + same->min_interval;
  // After the last frame there is no other, also where it came too late.
  if (!is_shown && !is_last) same->is_shown = false;
}

void JobWatches::Run() {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    absl::Time wait_until = absl::InfiniteFuture();
    if (Watch* const watch = NextDue(absl::Now(), wait_until)) {
      LookAt(*watch);
    } else {
      changed_.WaitWithTimeout(&mutex_, wait_until - absl::Now());
    }
  }
}

}  // namespace seer
