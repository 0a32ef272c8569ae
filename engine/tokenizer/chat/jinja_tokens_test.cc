#include "engine/tokenizer/chat/jinja_tokens.h"

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

// Tokens in short: text as "..", strings as '..', tags as they are.
std::string Read(const std::string& source) {
  const auto tokens = ReadJinjaTokens(source);
  if (!tokens.ok()) return std::string(tokens.status().message());
  std::string all;
  for (const JinjaToken& token : *tokens) {
    if (!all.empty()) all += ' ';
    switch (token.kind) {
      case JinjaToken::Kind::kText:
        all += "\"" + token.text + "\"";
        break;
      case JinjaToken::Kind::kString:
        all += "'" + token.text + "'";
        break;
      case JinjaToken::Kind::kStatementBegin:
        all += "{%";
        break;
      case JinjaToken::Kind::kStatementEnd:
        all += "%}";
        break;
      case JinjaToken::Kind::kExpressionBegin:
        all += "{{";
        break;
      case JinjaToken::Kind::kExpressionEnd:
        all += "}}";
        break;
      case JinjaToken::Kind::kWord:
      case JinjaToken::Kind::kOperator:
        all += token.text;
    }
  }
  return all;
}

TEST(JinjaTokensTest, ReadsTagsAndText) {
  EXPECT_EQ(Read("a{{ x['y'] + 1 }}b"), "\"a\" {{ x [ 'y' ] + 1 }} \"b\"");
  EXPECT_EQ(Read("{% if a != b %}c{% endif %}"),
            "{% if a != b %} \"c\" {% endif %}");
  EXPECT_EQ(Read(""), "");
  EXPECT_EQ(Read("{ not a tag }"), "\"{ not a tag }\"");
}

TEST(JinjaTokensTest, LayoutInsideTagsDoesNotMatter) {
  EXPECT_EQ(Read("{{x|trim+'a'}}"), Read("{{  x | trim\n + \"a\" }}"));
  EXPECT_NE(Read("{{ 'a' }}"), Read("{{ a }}"));
  EXPECT_NE(Read("{{ 'a ' }}"), Read("{{ 'a' }}"));
}

TEST(JinjaTokensTest, StringsHaveTheirValues) {
  EXPECT_EQ(Read(R"({{ 'a\n\'b\\' }})"), "{{ 'a\n'b\\' }}");
  EXPECT_EQ(Read("{{ 'a\nb' }}"), Read(R"({{ "a\nb" }})"));
  EXPECT_EQ(Read("{{ '%}' }}"), "{{ '%}' }}");
}

TEST(JinjaTokensTest, WhiteSpaceControl) {
  // A line end after a block goes, and the indentation of a block.
  EXPECT_EQ(Read("{% a %}\n  {% b %}\nx"), "{% a %} {% b %} \"x\"");
  EXPECT_EQ(Read("{{ a }}\n{{ b }}"), "{{ a }} \"\n\" {{ b }}");
  EXPECT_EQ(Read("{% a %}\n\n{% b %}"), "{% a %} \"\n\" {% b %}");
  EXPECT_EQ(Read("x  {% b %}"), "\"x  \" {% b %}");
  EXPECT_EQ(Read("x\n  {% b %}"), "\"x\n\" {% b %}");
  EXPECT_EQ(Read("  {% b %}"), "{% b %}");
  EXPECT_EQ(Read("  {{ b }}"), "\"  \" {{ b }}");
  // Minus signs take all of it.
  EXPECT_EQ(Read("a \n {{- b -}} \n c"), "\"a\" {{ b }} \"c\"");
  EXPECT_EQ(Read("a \n {%- b -%} \n c"), "\"a\" {% b %} \"c\"");
  // One line end at the end of the source goes.
  EXPECT_EQ(Read("{{ a }}\n"), "{{ a }}");
  EXPECT_EQ(Read("{{ a }}\n\n"), "{{ a }} \"\n\"");
}

TEST(JinjaTokensTest, CommentsAreLeftOut) {
  EXPECT_EQ(Read("a{# {{ b }} #}\nc"), "\"a\" \"c\"");
  EXPECT_EQ(Read("a {#- b -#} c"), "\"a\" \"c\"");
}

TEST(JinjaTokensTest, BrokenSourcesAreErrors) {
  EXPECT_EQ(Read("{% if"), "chat template: a tag has no end");
  EXPECT_EQ(Read("{{"), "chat template: a tag has no end");
  EXPECT_EQ(Read("{# x"), "chat template: a comment has no end");
  EXPECT_EQ(Read("{{ 'a }}"), "chat template: a string has no end");
  EXPECT_EQ(Read(R"({{ 'a\)"), "chat template: a string has no end");
  EXPECT_EQ(Read(R"({{ '\x41' }})"),
            "chat template: an unknown escape in a string");
  EXPECT_EQ(Read("{{ \xC3\xA9 }}"), "chat template: an unknown sign in a tag");
}

}  // namespace
}  // namespace seer
