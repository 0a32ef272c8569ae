#include "client/flags/flag_set.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace seer {
namespace {

constexpr size_t kColumns = 80;
constexpr size_t kHelpColumn = 28;

// Appends `text`, broken at spaces, to a line that is `column` long; further
// lines begin at kHelpColumn.
void AppendWrapped(absl::string_view text, size_t column, std::string* out) {
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    if (column + 1 + word.size() > kColumns) {
      absl::StrAppend(out, "\n", std::string(kHelpColumn, ' '));
      column = kHelpColumn;
    } else if (column > kHelpColumn) {
      absl::StrAppend(out, " ");
      ++column;
    }
    absl::StrAppend(out, word);
    column += word.size();
  }
  absl::StrAppend(out, "\n");
}

}  // namespace

bool ParseFlagValue(absl::string_view text, bool* value) {
  return absl::SimpleAtob(text, value);
}

bool ParseFlagValue(absl::string_view text, std::string* value) {
  *value = std::string(text);
  return true;
}

bool ParseFlagValue(absl::string_view text, int32_t* value) {
  return absl::SimpleAtoi(text, value);
}

bool ParseFlagValue(absl::string_view text, int64_t* value) {
  return absl::SimpleAtoi(text, value);
}

bool ParseFlagValue(absl::string_view text, uint64_t* value) {
  return absl::SimpleAtoi(text, value);
}

bool ParseFlagValue(absl::string_view text, float* value) {
  return absl::SimpleAtof(text, value);
}

bool ParseFlagValue(absl::string_view text, double* value) {
  return absl::SimpleAtod(text, value);
}

bool ParseFlagValue(absl::string_view text, absl::Duration* value) {
  return absl::ParseDuration(text, value);
}

bool ParseFlagValue(absl::string_view text, std::pair<int32_t, float>* value) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  return ParseFlagValue(parts.first, &value->first) &&
         ParseFlagValue(parts.second, &value->second);
}

std::string FlagForm(const bool*) { return "true or false"; }
std::string FlagForm(const std::string*) { return "text"; }
std::string FlagForm(const int32_t*) { return "a whole number"; }
std::string FlagForm(const int64_t*) { return "a whole number"; }
std::string FlagForm(const uint64_t*) { return "a whole number, at least 0"; }
std::string FlagForm(const float*) { return "a number, such as 0.8"; }
std::string FlagForm(const double*) { return "a number, such as 0.8"; }
std::string FlagForm(const absl::Duration*) {
  return "a time with its unit, such as 90s or 5m";
}
std::string FlagForm(const std::pair<int32_t, float>*) {
  return "ID:BIAS, such as 42:-1.5";
}

void FlagSet::Group(absl::string_view title) {
  pending_group_ = std::string(title);
}

const FlagSet::Flag* FlagSet::Find(absl::string_view name) const {
  for (const Flag& flag : flags_) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

bool FlagSet::IsFlag(absl::string_view arg) const {
  return absl::ConsumePrefix(&arg, "--") &&
         Find(arg.substr(0, arg.find('='))) != nullptr;
}

absl::StatusOr<std::vector<std::string>> FlagSet::Parse(
    absl::Span<const std::string> args) const {
  std::vector<std::string> positional;
  std::set<const Flag*> given;
  for (size_t i = 0; i < args.size(); ++i) {
    absl::string_view arg = args[i];
    if (arg == "--") {
      positional.insert(positional.end(), args.begin() + i + 1, args.end());
      break;
    }
    if (!absl::ConsumePrefix(&arg, "--")) {
      positional.push_back(args[i]);
      continue;
    }
    const size_t equals = arg.find('=');
    const absl::string_view name = arg.substr(0, equals);
    const Flag* flag = Find(name);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("unknown flag --", name));
    }
    if (!given.insert(flag).second && !flag->repeatable) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " is given twice"));
    }
    absl::string_view value;
    if (equals != absl::string_view::npos) {
      value = arg.substr(equals + 1);
    } else if (flag->placeholder.empty()) {
      value = "true";
    } else if (++i < args.size() && !IsFlag(args[i])) {
      value = args[i];
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " needs a value"));
    }
    if (!flag->parse(value)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--", name, " cannot be \"", value, "\": must be ", flag->form));
    }
  }
  return positional;
}

std::string FlagSet::Help() const {
  std::string help;
  for (const Flag& flag : flags_) {
    if (!flag.group.empty()) absl::StrAppend(&help, "\n", flag.group, ":\n");
    std::string line = absl::StrCat("  --", flag.name);
    if (!flag.placeholder.empty()) {
      absl::StrAppend(&line, "=", flag.placeholder);
    }
    if (line.size() + 2 > kHelpColumn) {
      absl::StrAppend(&help, line, "\n");
      line.clear();
    }
    line.resize(kHelpColumn, ' ');
    absl::StrAppend(&help, line);
    AppendWrapped(flag.help, kHelpColumn, &help);
  }
  return help;
}

}  // namespace seer
