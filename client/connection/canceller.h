// Cancels calls from another thread.
#ifndef SEER_CLIENT_CONNECTION_CANCELLER_H_
#define SEER_CLIENT_CONNECTION_CANCELLER_H_

#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "grpcpp/client_context.h"

namespace seer {

// Handed to calls of a CompletionClient; must outlive them. Thread-safe.
class Canceller {
 public:
  Canceller() = default;
  Canceller(const Canceller&) = delete;
  Canceller& operator=(const Canceller&) = delete;

  // Ends the calls that carry this canceller, and those made later, with
  // CANCELLED. Does not wait for them.
  void Cancel();
  bool cancelled() const;

  // Returns after `duration`, or at once when cancelled. Returns whether it was
  // cancelled.
  bool WaitFor(absl::Duration duration) const;

  // Ties one try of a call to a canceller while it lives.
  class Registration {
   public:
    // `canceller` may be null.
    Registration(Canceller* canceller, grpc::ClientContext* context);
    ~Registration();
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

   private:
    Canceller* const canceller_;
    grpc::ClientContext* const context_;
  };

 private:
  mutable Mutex mutex_;
  mutable CondVar changed_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_CLIENT_CONNECTION_CANCELLER_H_
