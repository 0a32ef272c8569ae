#include "server/flags/serve_flags.h"

#include <cstdint>
#include <string>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "engine/sparsity_policy.h"
#include "server/flags/admin_flags.h"
#include "server/flags/connection_flags.h"
#include "server/flags/request_flags.h"
#include "server/quality_guard/quality_guard.h"

using seer::QualityGuardOptions;

ABSL_FLAG(std::string, http_host, "127.0.0.1",
          "Address for /metrics, /healthz and /readyz, which are plain HTTP.");
ABSL_FLAG(int32_t, http_port, 8471,
          "Port of HTTP, [0, 65535]. 0: any free one.");
ABSL_FLAG(std::string, port_file, "",
          "File to write the gRPC port to, once it is served, and to remove at "
          "the end.");
ABSL_FLAG(std::string, http_port_file, "",
          "File to write the HTTP port to, once it is served, and to remove at "
          "the end.");

// The quality guard. Each default's reason stands in
// server/quality_guard/quality_guard.h.
ABSL_FLAG(double, quality_guard_fraction, QualityGuardOptions().fraction,
          "Share of the sparse requests, [0, 1], that are prefilled again "
          "densely when nobody waits, to measure how far the two are apart: "
          "seer_quality_guard_kl_nats. 0: none.");
ABSL_FLAG(int64_t, quality_guard_max_prompt_tokens,
          QualityGuardOptions().max_prompt_tokens,
          "Longer prompts are not prefilled again, [1, 2^20].");

ABSL_FLAG(int32_t, drain_seconds, 30,
          "After SIGTERM or SIGINT, for running requests to end, [0, 86400]. A "
          "second signal ends the process at once.");

namespace seer {

absl::StatusOr<ServeOptions> ReadServeFlags(const LlamaEngineOptions& engine) {
  ServeOptions options;
  options.service = ReadRequestFlags();
  options.service.default_policy = engine.policy.default_policy;
  // Behind the engine's own limit, which tells the client why.
  options.service.max_write_stall = 2 * engine.slow_reader_timeout;
  options.service.server_version = kVersion;
  SEER_ASSIGN_OR_RETURN(options.grpc, ReadConnectionFlags());
  options.service.limits.max_receive_bytes = options.grpc.max_receive_bytes;
  SEER_RETURN_IF_ERROR(ReadAdminFlags(&options));
  if (engine.policy.default_policy.budget.kind == BudgetKind::kTargetSparsity &&
      engine.gate_set_file.empty() && !options.admin.has_value()) {
    return absl::InvalidArgumentError(
        "--default_target_sparsity needs --gate_set or --state_dir");
  }
  options.http = {absl::GetFlag(FLAGS_http_host),
                  absl::GetFlag(FLAGS_http_port)};
  options.watchdog.max_step = engine.max_step;
  options.guard.fraction = absl::GetFlag(FLAGS_quality_guard_fraction);
  options.guard.max_prompt_tokens =
      absl::GetFlag(FLAGS_quality_guard_max_prompt_tokens);
  options.drain = absl::Seconds(absl::GetFlag(FLAGS_drain_seconds));
  options.port_file = absl::GetFlag(FLAGS_port_file);
  options.http_port_file = absl::GetFlag(FLAGS_http_port_file);
  SEER_RETURN_IF_ERROR(options.Validate());
  return options;
}

}  // namespace seer
