#include "server/serve.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "server/metrics/engine_collector.h"
#include "server/metrics/guard_metrics.h"
#include "server/metrics/http_endpoint.h"
#include "server/metrics/text_exposition.h"
#include "server/port_file.h"

namespace seer {
namespace {

// For the last frames of requests that the engine has ended, to reach clients
// that read.
constexpr absl::Duration kLastWrites = absl::Seconds(5);

ExitCode CannotListen(const absl::Status& status) {
  Log(LogLevel::kError, status.message());
  return kExitCannotListen;
}

// Null where there is none to be.
absl::StatusOr<std::unique_ptr<AdminServer>> OpenAdmin(
    const Served& served, const ServeOptions& options) {
  if (!options.admin) return nullptr;
  AdminServer::Served administered;
  administered.engine = served.engine;
  administered.gates = served.gates;
  administered.calibrator = served.calibrator;
  administered.tokenizer = served.tokenizer;
  administered.flag_gate_set_file = served.gate_set_file;
  return AdminServer::Open(*options.admin, administered);
}

// `admin` may be null, here and below.
EngineCollector::PreviousGateSet PreviousOf(const AdminServer* admin) {
  return [admin]() -> std::pair<std::string, std::string> {
    if (admin == nullptr) return {};
    const RolloutControl::PreviousSet previous = admin->previous();
    return {previous.name, previous.sha256};
  };
}

// What /metrics shows: `sources`, and what `admin` has, which may be null.
std::string MetricsText(std::vector<const prometheus::Collectable*> sources,
                        const AdminServer* admin) {
  if (admin != nullptr) {
    const auto more = admin->metrics();
    sources.insert(sources.end(), more.begin(), more.end());
  }
  return ExposeText(sources);
}

// Refuses new requests, lets the running ones end, and closes. After kExitHangs
// `admin` must not be destroyed.
ExitCode Drain(Engine& engine, GrpcServer& server, AdminServer* admin,
               Watchdog& watchdog, absl::Duration limit) {
  const absl::Time start = absl::Now();
  watchdog.TurnReadinessOff();
  std::thread drain_admin([=] {
    if (admin != nullptr) admin->Shutdown(start + limit);
  });
  const absl::Status drained = engine.Drain(start + limit);
  server.Shutdown(absl::Now() + kLastWrites);
  if (absl::IsInternal(drained)) {
    drain_admin.detach();  // it may wait for the same step
  } else {
    drain_admin.join();
  }
  Log(drained.ok() ? LogLevel::kInfo : LogLevel::kWarning, "drained",
      {{"all_finished", drained.ok()},
       {"seconds", absl::ToDoubleSeconds(absl::Now() - start)}});
  if (absl::IsInternal(drained)) {
    Log(LogLevel::kError, drained.message());
    return kExitHangs;
  }
  return drained.ok() ? kExitStopped : kExitCutOff;
}

}  // namespace

absl::Status ServeOptions::Validate() const {
  SEER_RETURN_IF_ERROR(service.Validate());
  SEER_RETURN_IF_ERROR(grpc.Validate());
  SEER_RETURN_IF_ERROR(watchdog.Validate());
  SEER_RETURN_IF_ERROR(guard.Validate());
  if (admin) SEER_RETURN_IF_ERROR(admin->Validate());
  for (const int port :
       {grpc.address.port, http.port, admin ? admin->grpc.address.port : 0}) {
    if (port < 0 || port > 65535) {
      return absl::InvalidArgumentError(
          absl::StrCat("port ", port, " must be in [0, 65535]"));
    }
  }
  if (drain < absl::ZeroDuration() || drain > absl::Hours(24)) {
    return absl::InvalidArgumentError("drain_seconds must be in [0, 86400]");
  }
  return absl::OkStatus();
}

ExitCode Serve(const Served& served, const ServeOptions& options,
               TerminationSignals& signals) {
  auto opened = OpenAdmin(served, options);
  if (!opened.ok()) {
    Log(LogLevel::kError, "cannot use the state folder",
        {{"error", opened.status().ToString()}});
    return kExitNoState;
  }
  std::unique_ptr<AdminServer> owned = *std::move(opened);
  AdminServer* const admin = owned.get();
  const EngineCollector collector(
      served.engine, served.engine->model().model_id, PreviousOf(admin));
  GuardMetrics guard_metrics(served.engine->model().model_id);
  QualityGuard guard(served.engine, &guard_metrics, options.guard);
  CompletionService service(served.engine, served.tokenizer,
                            served.chat_template, served.metrics,
                            options.service, &guard);
  auto server = GrpcServer::Start(options.grpc, {&service});
  if (!server.ok()) return CannotListen(server.status());
  if (admin != nullptr) {
    const absl::Status listening = admin->Listen();
    if (!listening.ok()) return CannotListen(listening);
  }
  Watchdog watchdog(served.engine, options.watchdog, [&, admin](Health health) {
    (*server)->SetHealth(health);
    if (admin != nullptr) admin->SetHealth(health);
  });
  HttpEndpoint::Options http;
  http.host = options.http.host;
  http.port = options.http.port;
  http.metrics = [&, admin] {
    return MetricsText(
        {&served.metrics->registry(), &guard_metrics.registry(), &collector},
        admin);
  };
  http.alive = [&] { return watchdog.health().alive; };
  http.ready = [&] {
    return watchdog.health().ready && !served.engine->Stats().draining;
  };
  auto endpoint = HttpEndpoint::Start(http);
  if (!endpoint.ok()) return CannotListen(endpoint.status());
  signals.Arm();
  PortFile http_port_file(options.http_port_file);
  PortFile admin_port_file(options.admin_port_file);
  PortFile port_file(options.port_file);
  absl::Status written = http_port_file.Write((*endpoint)->port());
  if (admin != nullptr) written.Update(admin_port_file.Write(admin->port()));
  written.Update(port_file.Write((*server)->port()));
  if (!written.ok()) {
    Log(LogLevel::kError, written.message());
    return kExitFailed;
  }
  Log(LogLevel::kInfo, "serving",
      {{"model", served.engine->model().model_id},
       {"address",
        BindAddress{options.grpc.address.host, (*server)->port()}.ToString()},
       {"http_address",
        BindAddress{http.host, (*endpoint)->port()}.ToString()}});
  Log(LogLevel::kInfo, "stopping", {{"signal", signals.Wait()}});
  const ExitCode code =
      Drain(*served.engine, **server, admin, watchdog, options.drain);
  // Its destructor would wait for the step.
  if (code == kExitHangs) static_cast<void>(owned.release());
  return code;
}

}  // namespace seer
