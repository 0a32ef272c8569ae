#include "client/flags/prompt_flags.h"

#include <fstream>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What `args` make of a request, or the error's message as its client id.
v1::CompleteRequest Parse(const std::vector<std::string>& args,
                          const std::string& input = "") {
  FlagSet flags;
  PromptFlags prompt;
  prompt.AddTo(&flags);
  prompt.AddChatTo(&flags);
  std::istringstream in(input);
  v1::CompleteRequest request;
  const auto positional = flags.Parse(args);
  const absl::Status status = positional.ok()
                                  ? prompt.Fill(*positional, in, &request)
                                  : positional.status();
  if (!status.ok()) {
    request.Clear();
    request.set_client_request_id(std::string(status.message()));
  }
  return request;
}

std::string ErrorOf(const std::vector<std::string>& args) {
  return Parse(args).client_request_id();
}

TEST(PromptFlagsTest, TakesTextFromWhereItIsToldTo) {
  EXPECT_EQ(Parse({"hello"}).text(), "hello");
  EXPECT_EQ(Parse({"--prompt_file=-"}, "from in\n").text(), "from in\n");
  EXPECT_EQ(Parse({"--prompt_file=-", "why?"}, "a chapter").text(),
            "a chapter\n\nwhy?");
  const std::string path = ::testing::TempDir() + "/prompt.txt";
  std::ofstream(path) << "from a file";
  EXPECT_EQ(Parse({"--prompt_file=" + path}).text(), "from a file");
}

TEST(PromptFlagsTest, ParsesSpecialTokensOnlyWhenTold) {
  EXPECT_FALSE(Parse({"<|im_end|>"}).parse_special());
  EXPECT_TRUE(Parse({"--parse_special", "<|im_end|>"}).parse_special());
}

TEST(PromptFlagsTest, MakesConversations) {
  const v1::CompleteRequest chat = Parse({"--chat", "hello"});
  ASSERT_EQ(chat.chat().messages_size(), 1);
  EXPECT_EQ(chat.chat().messages(0).role(), "user");
  EXPECT_EQ(chat.chat().messages(0).content(), "hello");
  const v1::CompleteRequest system = Parse({"--system=be brief", "hello"});
  ASSERT_EQ(system.chat().messages_size(), 2);
  EXPECT_EQ(system.chat().messages(0).role(), "system");
  EXPECT_EQ(system.chat().messages(0).content(), "be brief");
  EXPECT_EQ(system.chat().messages(1).role(), "user");
}

TEST(PromptFlagsTest, TakesTokenIds) {
  EXPECT_THAT(Parse({"--prompt_token_ids=[1, 2,3]"}).token_ids().ids(),
              ElementsAre(1, 2, 3));
  EXPECT_EQ(ErrorOf({"--prompt_token_ids=1,x"}), "\"x\" is no token id");
  EXPECT_EQ(ErrorOf({"--prompt_token_ids=,"}), "no token ids");
  EXPECT_THAT(ErrorOf({"--prompt_token_ids=1", "text"}),
              HasSubstr("goes with no other prompt"));
}

TEST(PromptFlagsTest, RefusesWhatIsNoPrompt) {
  EXPECT_EQ(ErrorOf({}), "no prompt");
  EXPECT_THAT(ErrorOf({"two", "words"}), HasSubstr("between quotes"));
  EXPECT_THAT(ErrorOf({"--prompt_file=/nowhere/at/all"}),
              HasSubstr("cannot read /nowhere/at/all"));
  EXPECT_THAT(ErrorOf({"--prompt_file=" + ::testing::TempDir()}),
              HasSubstr("cannot read"));
  EXPECT_EQ(ErrorOf({"ab\xff"}), "the prompt is not valid UTF-8 at byte 2");
  EXPECT_EQ(ErrorOf({"--system=\xc3", "x"}),
            "--system is not valid UTF-8 at byte 0");
  EXPECT_THAT(ErrorOf({"--chat", "--parse_special", "x"}),
              HasSubstr("does not go with"));
}

}  // namespace
}  // namespace seer
