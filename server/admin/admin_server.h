#ifndef SEER_SERVER_ADMIN_ADMIN_SERVER_H_
#define SEER_SERVER_ADMIN_ADMIN_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/calibrator.h"
#include "engine/engine.h"
#include "engine/gate_control.h"
#include "engine/tokenizer/tokenizer.h"
#include "prometheus/collectable.h"
#include "server/admin/gate_admin_service.h"
#include "server/admin/rollout/rollout_control.h"
#include "server/admin/rollout/yielding_gates.h"
#include "server/calibration_jobs/calibration_jobs.h"
#include "server/calibration_jobs/rpc/calibration_job_rpcs.h"
#include "server/catalog/catalog.h"
#include "server/grpc/grpc_server.h"
#include "server/metrics/admin_metrics.h"
#include "server/metrics/calibration_metrics.h"
#include "server/watchdog.h"

namespace seer {

// The durable state of a server, and the port on which operators change it.
class AdminServer {
 public:
  struct Options {
    CatalogOptions catalog;
    JobOptions jobs;  // their folder is the catalog's
    GateAdminService::Options service;
    GrpcServer::Options grpc;

    // INVALID_ARGUMENT: those of the parts; a host that is not loopback without
    // a token.
    absl::Status Validate() const;
  };

  // What it administers. Everything is borrowed, and outlives it.
  struct Served {
    Engine* engine = nullptr;
    GateControl* gates = nullptr;
    Calibrator* calibrator = nullptr;  // null: calibration is UNIMPLEMENTED
    const Tokenizer* tokenizer = nullptr;
    std::string flag_gate_set_file;  // --gate_set's; "": none
  };

  // Opens the catalog, has the engine use the gate sets that it says, and goes
  // on with its jobs. Before anybody submits a request. `options` must be
  // valid. Errors of Catalog::Open and RolloutControl::Restore.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Open(
      const Options& options, const Served& served);

  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  // Waits for the work in progress, that of the engine too.
  ~AdminServer();

  // Takes the port. Once. UNAVAILABLE: cannot listen there.
  absl::Status Listen();
  int port() const { return server_->port(); }

  void SetHealth(Health health) { server_->SetHealth(health); }

  // Takes no new calls, waits for those in progress and for the job's
  // checkpoint until `deadline`, then ends them. Once, while the engine still
  // works.
  void Shutdown(absl::Time deadline);

  // As metrics show it: see RolloutControl.
  RolloutControl::PreviousSet previous() const { return rollouts_.previous(); }
  // For the text format.
  std::vector<const prometheus::Collectable*> metrics() const;

 private:
  AdminServer(const Options& options, const Served& served,
              std::unique_ptr<Catalog> catalog);

  void StartJobs();
  void StartService();

  const Options options_;
  const Served served_;
  const std::unique_ptr<Catalog> catalog_;
  AdminMetrics metrics_;
  CalibrationMetrics calibration_metrics_;
  RolloutControl rollouts_;
  YieldingGates gates_for_jobs_;
  // Once restored.
  std::unique_ptr<CalibrationJobs> jobs_;
  std::unique_ptr<CalibrationJobRpcs> job_rpcs_;
  std::unique_ptr<GateAdminService> service_;
  std::unique_ptr<GrpcServer> server_;  // while it listens
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_ADMIN_SERVER_H_
