#ifndef SEER_SERVER_SERVE_H_
#define SEER_SERVER_SERVE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/calibrator.h"
#include "engine/engine.h"
#include "engine/gate_control.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/admin/admin_server.h"
#include "server/completion/completion_service.h"
#include "server/grpc/bind_address.h"
#include "server/grpc/grpc_server.h"
#include "server/metrics/metrics.h"
#include "server/quality_guard/quality_guard.h"
#include "server/termination_signals.h"
#include "server/watchdog.h"

namespace seer {

// How the process ends. 128 + a signal: stopped at once by it.
enum ExitCode {
  kExitStopped = 0,       // by a signal; every request ended by itself
  kExitFailed = 1,        // anything unforeseen; a flag that does not exist
  kExitBadFlags = 2,      // a flag's value is out of range or unreadable
  kExitNoModel = 3,       // the model or the gate set cannot be served
  kExitCannotListen = 4,  // a port is in use, an address is not of this machine
  kExitCutOff = 5,        // by a signal; the drain time ended some requests
  kExitHangs = 6,         // by a signal; a step of the engine did not end
  kExitNoState = 7,       // the state folder, or what it says, cannot be used
};

struct ServeOptions {
  CompletionService::Options service;
  GrpcServer::Options grpc;
  BindAddress http = {"127.0.0.1", 0};
  Watchdog::Options watchdog;
  QualityGuardOptions guard;
  // How long running requests may take to end after a signal.
  absl::Duration drain = absl::Seconds(30);
  // Where the ports that were taken are written once they serve, a line each;
  // empty: nowhere. Until then a file is what an earlier process left.
  std::string port_file;
  std::string http_port_file;
  std::string admin_port_file;
  // Unset: there is no durable state and no administration.
  std::optional<AdminServer::Options> admin;

  // INVALID_ARGUMENT: a value out of its range.
  absl::Status Validate() const;
};

// What is served. Everything is borrowed.
struct Served {
  Engine* engine = nullptr;
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat_template = nullptr;  // null: chat is refused
  Metrics* metrics = nullptr;
  // Of the engine; needed for administration.
  GateControl* gates = nullptr;
  Calibrator* calibrator = nullptr;  // null: no calibration
  std::string gate_set_file;         // that the engine began with; "": none
};

// Serves until a signal, then drains: readiness turns off, new requests are
// UNAVAILABLE, running ones may end, a calibration job writes its checkpoint;
// last, its port files are removed. The gate sets that the state folder says
// are loaded before ports are taken.
// `options` must be valid. Errors are logged and are the exit code. After
// kExitHangs the engine must not be destroyed: its destructor would wait for
// the step.
ExitCode Serve(const Served& served, const ServeOptions& options,
               TerminationSignals& signals);

}  // namespace seer

#endif  // SEER_SERVER_SERVE_H_
