// The flags of one command: --name=value or --name value, in any order with
// the positional arguments; `--` ends them.
//
//   FlagSet flags;
//   flags.Group("Sampling");
//   flags.Add("seed", &seed, "N", "makes the draws reproducible");
//   SEER_ASSIGN_OR_RETURN(auto positional, flags.Parse(args));
#ifndef SEER_CLIENT_FLAGS_FLAG_SET_H_
#define SEER_CLIENT_FLAGS_FLAG_SET_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace seer {

// Whether `text` is a value of the type; then it is in `value`.
bool ParseFlagValue(absl::string_view text, bool* value);  // true, false
bool ParseFlagValue(absl::string_view text, std::string* value);
bool ParseFlagValue(absl::string_view text, int32_t* value);
bool ParseFlagValue(absl::string_view text, int64_t* value);
bool ParseFlagValue(absl::string_view text, uint64_t* value);
bool ParseFlagValue(absl::string_view text, float* value);
bool ParseFlagValue(absl::string_view text, double* value);
bool ParseFlagValue(absl::string_view text, absl::Duration* value);  // 1m30s
// ID:BIAS
bool ParseFlagValue(absl::string_view text, std::pair<int32_t, float>* value);

// Set where the flag is given.
template <typename T>
bool ParseFlagValue(absl::string_view text, std::optional<T>* value) {
  return ParseFlagValue(text, &value->emplace());
}

// One more each time that the flag is given.
template <typename T>
bool ParseFlagValue(absl::string_view text, std::vector<T>* value) {
  return ParseFlagValue(text, &value->emplace_back());
}

class FlagSet {
 public:
  // Starts a group of flags in the help text.
  void Group(absl::string_view title);

  // `value` holds the default, takes what is parsed, and must outlive this.
  // `placeholder` names the value in the help text; bool flags, which may be
  // given without a value, have none. `help` is one clause; it states the
  // default.
  template <typename T>
  void Add(absl::string_view name, T* value, absl::string_view placeholder,
           absl::string_view help) {
    Register(name, placeholder, help, [value](absl::string_view text) {
      return ParseFlagValue(text, value);
    });
  }

  // Returns the positional arguments. INVALID_ARGUMENT: an unknown flag, a
  // missing or unreadable value.
  absl::StatusOr<std::vector<std::string>> Parse(
      absl::Span<const std::string> args) const;

  // Every flag with its help, by group, in at most 80 columns.
  std::string Help() const;

 private:
  struct Flag {
    std::string name;
    std::string placeholder;  // "": a bool
    std::string help;
    std::function<bool(absl::string_view)> parse;
    std::string group;  // the title to print before it; "": none
  };

  void Register(absl::string_view name, absl::string_view placeholder,
                absl::string_view help,
                std::function<bool(absl::string_view)> parse);
  const Flag* Find(absl::string_view name) const;

  std::vector<Flag> flags_;
  std::string pending_group_;
};

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_FLAG_SET_H_
