#ifndef SEER_SERVER_ADMIN_ROLLOUT_ROLLOUT_CONTROL_H_
#define SEER_SERVER_ADMIN_ROLLOUT_ROLLOUT_CONTROL_H_

#include <functional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/gate_control.h"
#include "server/catalog/catalog.h"
#include "server/metrics/admin_metrics.h"

namespace seer {

// The one who changes a model's rollout: keeps the engine in agreement with the
// catalog, whatever fails on the way. docs/design/rollout.md says in which
// order and why. Thread-safe; one change at a time, others wait for it. Blocks
// on the disk and the engine.
class RolloutControl {
 public:
  // Pointers are borrowed. `model` is the {model} of its name. Nobody else may
  // change its rollout or the engine's routing. The gate set that the engine
  // routes to now is that of `flag_file` (--gate_set), or none: the stable one
  // as long as the catalog has none.
  RolloutControl(Catalog* catalog, GateControl* gates, AdminMetrics* metrics,
                 std::string model, std::string flag_file);

  // At start, before the first request: loads what the catalog says and routes
  // to it. What does not load is not served, loudly. What is damaged is taken
  // out of the rollout too: see Catalog::FallBack. A file that only cannot be
  // read now, or that fits another model, stays in it for the next start, or
  // for who activates it again. A catalog of other models only is logged as an
  // error, since the id may have changed by mistake. Errors are those of the
  // catalog's rows and of an engine that has no room for the rollout
  // (RESOURCE_EXHAUSTED) or stops.
  absl::Status Restore(absl::Time now);

  // As Catalog::UpdateRollout and RollBack, and the engine follows: requests
  // submitted after the answer see it. With validate_only the gate sets are
  // read and checked, not loaded. A rollback reads no file of a gate set that
  // is installed. After an error requests use what they used before.
  // FAILED_PRECONDITION: GATE_SET_INVALID, DAMAGED.
  // RESOURCE_EXHAUSTED: GATE_SLOTS.
  absl::StatusOr<Rollout> Update(const RolloutChange& change, absl::Time now);
  absl::StatusOr<Rollout> RollBack(absl::string_view etag, bool validate_only,
                                   absl::Time now);

  // Whether a gate set could be activated now: digest and content. Errors as
  // Update's.
  absl::Status Check(const std::string& id);

  // Where the engine refused to follow, tells it again.
  void Reconcile();

  // Removes from the device one kind of gate set that nobody routes to: of
  // --gate_set, or the previous one. False: there was none.
  bool MakeRoom();

  // Removes a gate set, by name, unless it is on the device for the rollout.
  // Errors as GateControl::Remove's.
  absl::Status RemoveUnlessKept(const std::string& name);

  // The gate set that a rollback would make stable; empty: there is none. Waits
  // for no change that is under way.
  struct PreviousSet {
    std::string name;
    std::string sha256;
  };
  PreviousSet previous() const;

 private:
  absl::Status WarnOfAnotherId() const;

  // Writes the change, or only says what it would come to.
  using Write = std::function<absl::StatusOr<Rollout>(bool validate_only)>;

  struct Manner {
    bool validate_only = false;
    bool is_rollback = false;
  };
  // What a start could not load, by id.
  struct UnusableSets {
    std::set<std::string> all;
    std::set<std::string> damaged;  // of these, with wrong content or none
    std::string message;
  };

  // Whether the catalog knows the gate set's content to be wrong or gone.
  bool IsDamaged(const std::string& id);
  // What is served without the unusable sets. That damaged ones are out of the
  // rollout is written down, if the disk lets.
  Rollout FallBack(const Rollout& wanted, const UnusableSets& unusable,
                   absl::Time now);
  // Apply, counted and logged if it changes anything.
  absl::StatusOr<Rollout> Change(const Manner& manner, const Write& write)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Rollout> Apply(const Manner& manner, const Write& write)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Loads or checks the gate sets that `next` routes to.
  absl::Status Prepare(const Rollout& next, const Manner& manner)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // As Catalog::VerifyGateSet; one that the disk does not give is damaged too.
  absl::Status Verify(const std::string& id);
  // `may_evict`: what `next` does not need may go for it.
  absl::Status Load(const std::string& id, const Rollout& next, bool may_evict)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Loads --gate_set's, where `next` has no stable one.
  absl::Status LoadFlags(const Rollout& next)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<GateFileFacts> Install(const std::string& path,
                                        const Rollout& next, bool may_evict)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Has the engine serve `rollout` and forget what it does not need for it.
  absl::Status Follow(const Rollout& rollout)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Removes what is not routed to, nor would be by `next`, nor in `kept`, all
  // by name. Whether there was any.
  bool RemoveUnneeded(const Rollout& next, const std::set<std::string>& kept)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShowPrevious(const Rollout& rollout);
  GateRouting RoutingOf(const Rollout& rollout) const;
  // What is wrong with a gate set that the engine did not take.
  absl::Status Unusable(const GateSetRecord& gate_set,
                        const absl::Status& status);

  Catalog* const catalog_;
  GateControl* const gates_;
  AdminMetrics* const metrics_;
  const std::string model_;
  const std::string flag_file_;
  const std::string flag_gate_set_;  // by name; "": none

  Mutex mutex_;
  Rollout serving_ ABSL_GUARDED_BY(mutex_);
  bool in_step_ ABSL_GUARDED_BY(mutex_) = true;  // with serving_
  // Ids that the start could not load, as long as nothing else has.
  std::set<std::string> not_served_ ABSL_GUARDED_BY(mutex_);
  // Names of what is there, as far as was asked for here.
  std::set<std::string> installed_ ABSL_GUARDED_BY(mutex_);

  mutable Mutex previous_mutex_;
  PreviousSet previous_ ABSL_GUARDED_BY(previous_mutex_);
};

// An error that names a file, without its path: for clients.
absl::Status WithoutPath(const absl::Status& status, const std::string& path);

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_ROLLOUT_ROLLOUT_CONTROL_H_
