#include "server/serve.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "server/metrics/engine_collector.h"
#include "server/metrics/http_endpoint.h"
#include "server/metrics/text_exposition.h"
#include "server/port_file.h"

namespace seer {
namespace {

// For the last frames of requests that the engine has ended, to reach clients
// that read.
constexpr absl::Duration kLastWrites = absl::Seconds(5);

// Refuses new requests, lets the running ones end, and closes.
ExitCode Drain(Engine& engine, GrpcServer& server, Watchdog& watchdog,
               absl::Duration limit) {
  const absl::Time start = absl::Now();
  watchdog.TurnReadinessOff();
  const absl::Status drained = engine.Drain(start + limit);
  server.Shutdown(absl::Now() + kLastWrites);
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
  for (const int port : {grpc.address.port, http.port}) {
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
  const EngineCollector collector(served.engine,
                                  served.engine->model().model_id);
  CompletionService service(served.engine, served.tokenizer,
                            served.chat_template, served.metrics,
                            options.service);
  auto server = GrpcServer::Start(options.grpc, {&service});
  if (!server.ok()) {
    Log(LogLevel::kError, server.status().message());
    return kExitCannotListen;
  }
  Watchdog watchdog(served.engine, options.watchdog,
                    [&](Health health) { (*server)->SetHealth(health); });
  HttpEndpoint::Options http;
  http.host = options.http.host;
  http.port = options.http.port;
  http.metrics = [&] {
    return ExposeText({&served.metrics->registry(), &collector});
  };
  http.alive = [&] { return watchdog.health().alive; };
  http.ready = [&] {
    return watchdog.health().ready && !served.engine->Stats().draining;
  };
  auto endpoint = HttpEndpoint::Start(http);
  if (!endpoint.ok()) {
    Log(LogLevel::kError, endpoint.status().message());
    return kExitCannotListen;
  }
  signals.Arm();
  PortFile http_port_file(options.http_port_file);
  PortFile port_file(options.port_file);
  absl::Status written = http_port_file.Write((*endpoint)->port());
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
  return Drain(*served.engine, **server, watchdog, options.drain);
}

}  // namespace seer
