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
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_split.h"
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

// What a value of the type must be, for messages: "a number, such as 0.8".
std::string FlagForm(const bool*);
std::string FlagForm(const std::string*);
std::string FlagForm(const int32_t*);
std::string FlagForm(const int64_t*);
std::string FlagForm(const uint64_t*);
std::string FlagForm(const float*);
std::string FlagForm(const double*);
std::string FlagForm(const absl::Duration*);
std::string FlagForm(const std::pair<int32_t, float>*);

// Set where the flag is given.
template <typename T>
bool ParseFlagValue(absl::string_view text, std::optional<T>* value) {
  return ParseFlagValue(text, &value->emplace());
}
template <typename T>
std::string FlagForm(const std::optional<T>*) {
  return FlagForm(static_cast<const T*>(nullptr));
}

// One more each time that the flag is given.
template <typename T>
bool ParseFlagValue(absl::string_view text, std::vector<T>* value) {
  return ParseFlagValue(text, &value->emplace_back());
}
template <typename T>
std::string FlagForm(const std::vector<T>*) {
  return FlagForm(static_cast<const T*>(nullptr));
}

// Values separated by commas: --lengths=2048,8192.
template <typename T>
struct CommaList {
  std::vector<T> values;
};
template <typename T>
bool ParseFlagValue(absl::string_view text, CommaList<T>* value) {
  value->values.clear();
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    if (part.empty()) return false;
    if (!ParseFlagValue(part, &value->values.emplace_back())) return false;
  }
  return true;
}
template <typename T>
std::string FlagForm(const CommaList<T>*) {
  return FlagForm(static_cast<const T*>(nullptr)) +
         ", or several separated by commas";
}

template <typename T>
struct IsRepeatableFlag : std::false_type {};
template <typename T>
struct IsRepeatableFlag<std::vector<T>> : std::true_type {};

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
    Flag flag;
    flag.name = std::string(name);
    flag.placeholder = std::string(placeholder);
    flag.help = std::string(help);
    flag.form = FlagForm(value);
    flag.repeatable = IsRepeatableFlag<T>::value;
    flag.parse = [value](absl::string_view text) {
      return ParseFlagValue(text, value);
    };
    flag.group = std::exchange(pending_group_, "");
    flags_.push_back(std::move(flag));
  }

  // Returns the positional arguments. INVALID_ARGUMENT: an unknown flag, a
  // missing or unreadable value, a flag given twice that is not a vector.
  absl::StatusOr<std::vector<std::string>> Parse(
      absl::Span<const std::string> args) const;

  // Every flag with its help, by group, in at most 80 columns.
  std::string Help() const;

 private:
  struct Flag {
    std::string name;
    std::string placeholder;  // "": a bool
    std::string help;
    std::string form;
    bool repeatable = false;
    std::function<bool(absl::string_view)> parse;
    std::string group;  // the title to print before it; "": none
  };

  const Flag* Find(absl::string_view name) const;
  // "--name" or "--name=value" of a flag that there is.
  bool IsFlag(absl::string_view arg) const;

  std::vector<Flag> flags_;
  std::string pending_group_;
};

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_FLAG_SET_H_
