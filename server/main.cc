// seerserve: serves a Llama with block-sparse attention over gRPC.
//
// Exit codes: see server/serve.h. Flags: server/flags.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/version.h"
#include "engine/llama_engine.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "google/protobuf/stubs/logging.h"
#include "server/flags/engine_flags.h"
#include "server/flags/serve_flags.h"
#include "server/grpc/grpc_log.h"
#include "server/metrics/metrics.h"
#include "server/serve.h"
#include "server/termination_signals.h"

ABSL_FLAG(std::string, log_level, "info", "debug, info, warning or error.");

namespace seer {
namespace {

absl::Status SetLogging() {
  const auto level = ParseLogLevel(absl::GetFlag(FLAGS_log_level));
  if (!level) {
    return absl::InvalidArgumentError(
        "--log_level must be debug, info, warning or error");
  }
  SetLogLevel(*level);
  RouteGrpcLogs();
  // Said of requests that are refused anyway.
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int,
         const std::string& message) { Log(LogLevel::kDebug, message); });
  return absl::OkStatus();
}

ExitCode Fail(ExitCode code, absl::string_view what,
              const absl::Status& status) {
  Log(LogLevel::kError, what, {{"error", status.ToString()}});
  return code;
}

ExitCode Run() {
  if (absl::Status status = SetLogging(); !status.ok()) {
    return Fail(kExitBadFlags, "bad flags", status);
  }
  const absl::StatusOr<LlamaEngineOptions> engine_options = ReadEngineFlags();
  if (!engine_options.ok()) {
    return Fail(kExitBadFlags, "bad flags", engine_options.status());
  }
  const absl::StatusOr<ServeOptions> options = ReadServeFlags(*engine_options);
  if (!options.ok()) {
    return Fail(kExitBadFlags, "bad flags", options.status());
  }

  TerminationSignals signals;
  auto tokenizer = Tokenizer::Load(engine_options->model_dir);
  if (!tokenizer.ok()) {
    return Fail(kExitNoModel, "cannot load the tokenizer", tokenizer.status());
  }
  const auto chat_template = ChatTemplate::Make(tokenizer->get());
  if (!chat_template.ok()) {
    Log(LogLevel::kWarning, "chat prompts will be refused",
        {{"reason", chat_template.status().message()}});
  }
  Metrics metrics(engine_options->model_id, kVersion);
  auto engine =
      LlamaEngine::Create(*engine_options, tokenizer->get(), &metrics);
  if (!engine.ok()) {
    return Fail(kExitNoModel, "cannot load the model", engine.status());
  }
  Served served;
  served.engine = engine->get();
  served.tokenizer = tokenizer->get();
  served.chat_template = chat_template.ok() ? &*chat_template : nullptr;
  served.metrics = &metrics;
  served.gates = &(*engine)->gates();
  served.calibrator = &(*engine)->calibrator();
  served.gate_set_file = engine_options->gate_set_file;
  const ExitCode code = Serve(served, *options, signals);
  if (code == kExitHangs) std::_Exit(code);  // nothing more can be destroyed
  return code;
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  // --help lists the server's flags; Abseil looks for the program's name.
  absl::FlagsUsageConfig usage;
  usage.contains_help_flags = [](absl::string_view file) {
    return absl::StrContains(file, "server/flags/") ||
           absl::EndsWith(file, "server/main.cc");
  };
  usage.version_string = [] {
    return absl::StrCat("seerserve ", seer::kVersion, "\n");
  };
  absl::SetFlagsUsageConfig(usage);
  absl::SetProgramUsageMessage(
      "Serves a Llama with block-sparse attention over gRPC.\n"
      "  seerserve --model=FOLDER [flags]");
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    std::fprintf(stderr, "seerserve: unexpected argument %s\n", rest[1]);
    return seer::kExitBadFlags;
  }
  return seer::Run();
}
