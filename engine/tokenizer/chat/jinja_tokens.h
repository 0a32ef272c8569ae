// A Jinja template as a list of tokens, to compare templates by what they say
// rather than by how they are laid out. Nothing is run.
#ifndef SEER_ENGINE_TOKENIZER_CHAT_JINJA_TOKENS_H_
#define SEER_ENGINE_TOKENIZER_CHAT_JINJA_TOKENS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace seer {

struct JinjaToken {
  enum class Kind {
    kText,             // outside tags, after white space control
    kStatementBegin,   // {%
    kStatementEnd,     // %}
    kExpressionBegin,  // {{
    kExpressionEnd,    // }}
    kString,           // the string's value, without quotes and escapes
    kWord,             // a name, keyword or number
    kOperator,         // one sign, or two of == != <= >= // **
  };
  Kind kind = Kind::kText;
  std::string text;  // empty for the begins and ends of tags

  bool operator==(const JinjaToken& other) const {
    return kind == other.kind && text == other.text;
  }
};

// Comments are left out and white space is handled as transformers sets Jinja
// up (trim_blocks and lstrip_blocks, `-` signs), so equal tokens mean equal
// templates.
// INVALID_ARGUMENT: a tag or string that does not end, an escape or a sign that
// templates have no use for.
absl::StatusOr<std::vector<JinjaToken>> ReadJinjaTokens(
    absl::string_view source);

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_CHAT_JINJA_TOKENS_H_
