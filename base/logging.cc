#include "base/logging.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "base/thread/mutex.h"

namespace seer {
namespace {

constexpr LogLevel kLevels[] = {LogLevel::kDebug, LogLevel::kInfo,
                                LogLevel::kWarning, LogLevel::kError};

// The only process-wide state: a process has one stderr.
struct LogState {
  std::atomic<LogLevel> level{LogLevel::kInfo};
  Mutex mutex;
  std::function<void(absl::string_view)> sink ABSL_GUARDED_BY(mutex);
};

LogState& State() {
  static LogState* const state = new LogState;  // outlives every thread
  return *state;
}

std::string JsonString(absl::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(/*indent=*/-1, /*indent_char=*/' ', /*ensure_ascii=*/false,
            nlohmann::json::error_handler_t::replace);
}

struct JsonValue {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return absl::StrCat(value); }
  std::string operator()(uint64_t value) const { return absl::StrCat(value); }
  std::string operator()(double value) const {
    if (std::isnan(value)) return "\"nan\"";
    if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
    return nlohmann::json(value).dump();
  }
  std::string operator()(absl::string_view value) const {
    return JsonString(value);
  }
};

void WriteToStderr(absl::string_view line) {
  const std::string text = absl::StrCat(line, "\n");
  absl::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return;  // nowhere left to say it
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

absl::string_view LogLevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

absl::optional<LogLevel> ParseLogLevel(absl::string_view name) {
  for (const LogLevel level : kLevels) {
    if (LogLevelName(level) == name) return level;
  }
  return absl::nullopt;
}

void Log(LogLevel level, absl::string_view message,
         std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  std::string line =
      absl::StrCat("{\"time\":\"",
                   absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", absl::Now(),
                                    absl::UTCTimeZone()),
                   "\",\"level\":\"", LogLevelName(level),
                   "\",\"message\":", JsonString(message));
  for (const LogField& field : fields) {
    absl::StrAppend(&line, ",", JsonString(field.key), ":",
                    absl::visit(JsonValue(), field.value));
  }
  line += "}";

  LogState& state = State();
  MutexLock lock(&state.mutex);
  if (state.sink) {
    state.sink(line);
  } else {
    WriteToStderr(line);
  }
}

void SetLogLevel(LogLevel level) {
  State().level.store(level, std::memory_order_relaxed);
}

bool LogEnabled(LogLevel level) {
  return level >= State().level.load(std::memory_order_relaxed);
}

void SetLogSink(std::function<void(absl::string_view line)> sink) {
  LogState& state = State();
  MutexLock lock(&state.mutex);
  state.sink = std::move(sink);
}

}  // namespace seer
