#include "server/grpc/grpc_log.h"

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "grpc/support/log.h"

namespace seer {
namespace {

void LogGrpcLine(gpr_log_func_args* line) {
  Log(line->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kWarning
                                               : LogLevel::kDebug,
      line->message,
      {{"library", "grpc"}, {"at", absl::StrCat(line->file, ":", line->line)}});
}

}  // namespace

void RouteGrpcLogs() { gpr_set_log_function(LogGrpcLine); }

}  // namespace seer
