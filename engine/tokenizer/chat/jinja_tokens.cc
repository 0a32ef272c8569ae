#include "engine/tokenizer/chat/jinja_tokens.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"

namespace seer {
namespace {

using Kind = JinjaToken::Kind;

bool IsSpace(char c) { return absl::ascii_isspace(c); }

bool IsWordCharacter(char c) { return absl::ascii_isalnum(c) || c == '_'; }

class JinjaReader {
 public:
  explicit JinjaReader(absl::string_view source) : rest_(source) {
    // Jinja drops one line end at the end of a template.
    if (absl::EndsWith(rest_, "\n")) rest_.remove_suffix(1);
  }

  absl::StatusOr<std::vector<JinjaToken>> Read() {
    while (!rest_.empty()) {
      const size_t tag = FindTag();
      AddText(rest_.substr(0, tag), rest_.substr(tag));
      rest_.remove_prefix(tag);
      if (!rest_.empty()) SEER_RETURN_IF_ERROR(ReadTag());
    }
    return std::move(tokens_);
  }

 private:
  enum class After { kStart, kBlock, kExpression, kStrip };

  // Where the next tag or comment starts; the end where there is none.
  size_t FindTag() const {
    for (size_t at = rest_.find('{'); at != absl::string_view::npos;
         at = rest_.find('{', at + 1)) {
      const absl::string_view sign = rest_.substr(at + 1, 1);
      if (sign == "%" || sign == "{" || sign == "#") return at;
    }
    return rest_.size();
  }

  // Text between tags, with the white space that the tags around it take away.
  void AddText(absl::string_view text, absl::string_view next_tag) {
    const bool at_line_start = after_ == After::kStart;
    if (after_ == After::kStrip) {
      while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
    } else if (after_ == After::kBlock && absl::StartsWith(text, "\n")) {
      text.remove_prefix(1);
      TrimLineStart(next_tag, /*line_starts=*/true, &text);
    }
    TrimLineStart(next_tag, at_line_start, &text);
    if (next_tag.size() > 2 && next_tag[2] == '-') {
      while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
    }
    if (!text.empty()) Add(Kind::kText, text);
  }

  // lstrip_blocks: what indents a block or comment goes, where it is alone on
  // its line so far.
  static void TrimLineStart(absl::string_view next_tag, bool line_starts,
                            absl::string_view* text) {
    if (next_tag.empty() || next_tag[1] == '{') return;
    if (next_tag.size() > 2 && next_tag[2] == '+') return;
    size_t end = text->size();
    while (end > 0 && ((*text)[end - 1] == ' ' || (*text)[end - 1] == '\t')) {
      --end;
    }
    if (end == 0 ? line_starts : (*text)[end - 1] == '\n') {
      text->remove_suffix(text->size() - end);
    }
  }

  absl::Status ReadTag() {
    const char sign = rest_[1];
    rest_.remove_prefix(2);
    if (sign == '#') return SkipComment();
    const absl::string_view end = sign == '%' ? "%}" : "}}";
    const bool block = sign == '%';
    Add(block ? Kind::kStatementBegin : Kind::kExpressionBegin, "");
    if (absl::StartsWith(rest_, "-") || absl::StartsWith(rest_, "+")) {
      rest_.remove_prefix(1);
    }
    while (true) {
      while (!rest_.empty() && IsSpace(rest_.front())) rest_.remove_prefix(1);
      const bool strips = absl::StartsWith(rest_, "-") &&
                          absl::StartsWith(rest_.substr(1), end);
      if (strips || absl::StartsWith(rest_, end)) {
        rest_.remove_prefix(end.size() + strips);
        Add(block ? Kind::kStatementEnd : Kind::kExpressionEnd, "");
        after_ = strips  ? After::kStrip
                 : block ? After::kBlock
                         : After::kExpression;
        return absl::OkStatus();
      }
      SEER_RETURN_IF_ERROR(ReadToken());
    }
  }

  absl::Status SkipComment() {
    const size_t end = rest_.find("#}");
    if (end == absl::string_view::npos) return Error("a comment has no end");
    after_ = end > 0 && rest_[end - 1] == '-' ? After::kStrip : After::kBlock;
    rest_.remove_prefix(end + 2);
    return absl::OkStatus();
  }

  absl::Status ReadToken() {
    if (rest_.empty()) return Error("a tag has no end");
    const char c = rest_.front();
    if (c == '\'' || c == '"') return ReadString(c);
    size_t len = 0;
    while (len < rest_.size() && IsWordCharacter(rest_[len])) ++len;
    if (len > 0) {
      Add(Kind::kWord, rest_.substr(0, len));
      rest_.remove_prefix(len);
      return absl::OkStatus();
    }
    if (!absl::ascii_ispunct(c)) return Error("an unknown sign in a tag");
    len = 1;
    for (const absl::string_view pair : {"==", "!=", "<=", ">=", "//", "**"}) {
      if (absl::StartsWith(rest_, pair)) len = 2;
    }
    Add(Kind::kOperator, rest_.substr(0, len));
    rest_.remove_prefix(len);
    return absl::OkStatus();
  }

  absl::Status ReadString(char quote) {
    std::string value;
    for (size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == quote) {
        Add(Kind::kString, value);
        rest_.remove_prefix(i + 1);
        return absl::OkStatus();
      }
      if (rest_[i] != '\\') {
        value += rest_[i];
        continue;
      }
      if (++i == rest_.size()) break;
      switch (rest_[i]) {
        case 'n':
          value += '\n';
          break;
        case 't':
          value += '\t';
          break;
        case '\\':
        case '\'':
        case '"':
          value += rest_[i];
          break;
        default:
          return Error("an unknown escape in a string");
      }
    }
    return Error("a string has no end");
  }

  void Add(Kind kind, absl::string_view text) {
    tokens_.push_back({kind, std::string(text)});
  }

  static absl::Status Error(absl::string_view problem) {
    return absl::InvalidArgumentError(absl::StrCat("chat template: ", problem));
  }

  absl::string_view rest_;
  After after_ = After::kStart;  // what stands before the text to come
  std::vector<JinjaToken> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<JinjaToken>> ReadJinjaTokens(
    absl::string_view source) {
  return JinjaReader(source).Read();
}

}  // namespace seer
