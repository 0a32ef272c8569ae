#ifndef SEER_BASE_LOGGING_H_
#define SEER_BASE_LOGGING_H_

// Structured logs: one JSON object a line, on stderr.
//
//   Log(LogLevel::kInfo, "server started", {{"port", port}});
//
// writes
//
//   {"time":"2024-05-01T12:00:00.000000Z","level":"info",
//    "message":"server started","port":8080}
//
// on one line. Thread-safe; lines of several threads do not mix.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"

namespace seer {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning", "error".
absl::string_view LogLevelName(LogLevel level);

// The level of that name; nullopt for any other.
absl::optional<LogLevel> ParseLogLevel(absl::string_view name);

// One key and value. Borrows its strings: for use as an argument only. Keys are
// lower_snake_case, unique in a line, and not "time", "level" or "message".
struct LogField {
  LogField(absl::string_view key, bool value) : key(key), value(value) {}
  LogField(absl::string_view key, double value) : key(key), value(value) {}
  LogField(absl::string_view key, absl::string_view value)
      : key(key), value(value) {}
  LogField(absl::string_view key, const std::string& value)
      : key(key), value(absl::string_view(value)) {}
  LogField(absl::string_view key, const char* value)
      : key(key), value(absl::string_view(value)) {}
  template <typename Int,
            typename = std::enable_if_t<std::is_integral<Int>::value>>
  LogField(absl::string_view key, Int value) : key(key), value(Widen(value)) {}

  absl::string_view key;
  absl::variant<bool, int64_t, uint64_t, double, absl::string_view> value;

 private:
  template <typename Int>
  static std::conditional_t<std::is_signed<Int>::value, int64_t, uint64_t>
  Widen(Int value) {
    return value;
  }
};

// Writes a line if `level` is at or above the process's level. Bytes that are
// not UTF-8 are replaced with U+FFFD; infinities and NaN become strings.
void Log(LogLevel level, absl::string_view message,
         std::initializer_list<LogField> fields = {});

// The lowest level that is written, kInfo at first. May change at any time.
void SetLogLevel(LogLevel level);

// Whether Log would write a line of this level: asked before costly fields.
bool LogEnabled(LogLevel level);

// Where lines go, each without its newline, one call at a time; an empty
// function stands for stderr, where they go at first. `sink` must not log.
void SetLogSink(std::function<void(absl::string_view line)> sink);

}  // namespace seer

#endif  // SEER_BASE_LOGGING_H_
