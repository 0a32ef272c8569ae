#include "server/admin/admin_server.h"

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"

namespace seer {

absl::Status AdminServer::Options::Validate() const {
  SEER_RETURN_IF_ERROR(catalog.Validate());
  SEER_RETURN_IF_ERROR(jobs.Validate());
  SEER_RETURN_IF_ERROR(service.Validate());
  SEER_RETURN_IF_ERROR(grpc.Validate());
  if (!grpc.address.IsLoopback() && service.access.token.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        grpc.address.ToString(),
        " can be reached from other machines: administration there needs a "
        "token (--admin_token_file)"));
  }
  return absl::OkStatus();
}

AdminServer::AdminServer(const Options& options, const Served& served,
                         std::unique_ptr<Catalog> catalog)
    : options_(options),
      served_(served),
      catalog_(std::move(catalog)),
      metrics_(served.engine->model().model_id),
      calibration_metrics_(served.engine->model().model_id),
      rollouts_(catalog_.get(), served.gates, &metrics_,
                served.engine->model().model_id, served.flag_gate_set_file),
      gates_for_jobs_(served.gates, &rollouts_) {}

AdminServer::~AdminServer() = default;

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Open(
    const Options& options, const Served& served) {
  SEER_ASSIGN_OR_RETURN(std::unique_ptr<Catalog> catalog,
                        Catalog::Open(options.catalog));
  std::unique_ptr<AdminServer> server(
      new AdminServer(options, served, std::move(catalog)));
  SEER_RETURN_IF_ERROR(server->rollouts_.Restore(absl::Now()));
  server->StartJobs();
  server->StartService();
  return server;
}

void AdminServer::StartJobs() {
  if (served_.calibrator == nullptr) return;
  JobParts parts;
  parts.catalog = catalog_.get();
  parts.engine = served_.engine;
  parts.calibrator = served_.calibrator;
  parts.gates = &gates_for_jobs_;
  parts.tokenizer = served_.tokenizer;
  parts.metrics = &calibration_metrics_;
  JobOptions options = options_.jobs;
  options.folder = options_.catalog.folder;
  jobs_ = std::make_unique<CalibrationJobs>(parts, options);
  job_rpcs_ = std::make_unique<CalibrationJobRpcs>(jobs_.get(),
                                                   &served_.engine->model());
}

void AdminServer::StartService() {
  GateAdminService::Parts parts;
  parts.catalog = catalog_.get();
  parts.gates = served_.gates;
  parts.rollouts = &rollouts_;
  parts.jobs = job_rpcs_.get();
  parts.metrics = &metrics_;
  parts.model = served_.engine->model().model_id;
  parts.vocab_size = served_.engine->model().vocab_size;
  service_ = std::make_unique<GateAdminService>(parts, options_.service);
}

absl::Status AdminServer::Listen() {
  SEER_ASSIGN_OR_RETURN(server_,
                        GrpcServer::Start(options_.grpc, {service_.get()}));
  Log(LogLevel::kInfo, "administering",
      {{"address",
        BindAddress{options_.grpc.address.host, server_->port()}.ToString()},
       {"with_token", !options_.service.access.token.empty()}});
  return absl::OkStatus();
}

void AdminServer::Shutdown(absl::Time deadline) {
  std::thread stop_jobs([&] {
    if (jobs_ != nullptr) jobs_->Stop(deadline);
  });
  if (server_ != nullptr) server_->Shutdown(deadline);
  stop_jobs.join();
}

std::vector<const prometheus::Collectable*> AdminServer::metrics() const {
  return {&metrics_.registry(), &calibration_metrics_.registry()};
}

}  // namespace seer
