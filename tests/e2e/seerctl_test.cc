// seerctl against the real service, over TCP.

#include "client/seerctl.h"

#include <vector>

#include "client/output/result_json.h"
#include "client/testing/seerctl_run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/server/in_process_server.h"

namespace seer {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class SeerctlEndToEndTest : public ::testing::Test {
 protected:
  SeerctlOutput Run(std::vector<std::string> args,
                    const std::string& input = "") {
    args.push_back("--server=" + server_.target());
    return RunSeerctlOn(args, input);
  }

  InProcessServer server_{{}};
};

TEST_F(SeerctlEndToEndTest, CompletesText) {
  const SeerctlOutput output =
      Run({"complete", "a prompt", "--max_tokens=3", "--target_sparsity=0.5",
           "--gate=mean_pool"});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(output.out, "w0 w1 w2 \n");
  EXPECT_THAT(output.err, StartsWith("TTFT 0.02 s, "));
  EXPECT_THAT(output.err, HasSubstr(", gate mean_pool"));
}

TEST_F(SeerctlEndToEndTest, ReportsWhatWasServed) {
  const SeerctlOutput output =
      Run({"complete", std::string(2000, 'x'), "--json", "--n=2",
           "--max_tokens=2", "--target_sparsity=0.5", "--gate=mean_pool",
           "--logprobs=1", "--prompt_logprobs=0", "--seed=5"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json json = Json::parse(output.out);
  ASSERT_EQ(json["choices"].size(), 2);
  EXPECT_EQ(json["choices"][1]["text"], "w0 w1 ");
  EXPECT_EQ(json["choices"][1]["logprobs"][0]["top"].size(), 1);
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["prompt_logprobs"].size(),
            json["usage"]["prompt_tokens"].get<size_t>() - 1);
  EXPECT_EQ(json["usage"]["output_tokens"], 4);
  EXPECT_EQ(json["seed"], 5);
  const Json& sparsity = json["sparsity"];
  EXPECT_EQ(sparsity["requested"]["target_sparsity"], 0.5);
  EXPECT_EQ(sparsity["effective"]["budget"], "target_sparsity");
  EXPECT_EQ(sparsity["gate"], "mean_pool");
  EXPECT_DOUBLE_EQ(sparsity["realized_sparsity"].get<double>(),
                   1 - sparsity["blocks_selected"].get<double>() /
                           sparsity["blocks_visible"].get<double>());
  EXPECT_EQ(sparsity["layers"].size(), 4);
}

TEST_F(SeerctlEndToEndTest, NamesTheFieldThatIsWrong) {
  const SeerctlOutput sparsity =
      Run({"complete", "x", "--target_sparsity=1.5"});
  EXPECT_EQ(sparsity.exit_code, kExitRefused);
  EXPECT_THAT(sparsity.err,
              StartsWith("seerctl: INVALID_ARGUMENT: sparsity.target_sparsity "
                         "must be in [0, 1), is 1.5 (request "));
  const SeerctlOutput nan =
      Run({"complete", "x", "--target_sparsity=nan", "--json"});
  EXPECT_EQ(nan.exit_code, kExitRefused);
  EXPECT_EQ(Json::parse(nan.out)["error"]["fields"][0]["path"],
            "sparsity.target_sparsity");
  const SeerctlOutput temperature = Run({"complete", "x", "--temperature=3"});
  EXPECT_THAT(temperature.err, HasSubstr(": sampling.temperature must be"));
  const SeerctlOutput gate = Run({"complete", "x", "--gate=mean_pool"});
  EXPECT_THAT(gate.err, HasSubstr("sparsity.builtin goes with a budget"));
}

TEST_F(SeerctlEndToEndTest, SaysHowLongThePromptMayBe) {
  const SeerctlOutput output =
      Run({"complete", "x", "--max_tokens=100000", "--json"});
  EXPECT_EQ(output.exit_code, kExitRefused);
  const Json error = Json::parse(output.out)["error"];
  EXPECT_EQ(error["code"], "INVALID_ARGUMENT");
}

TEST_F(SeerctlEndToEndTest, SaysThatAPromptLeavesNoRoom) {
  std::string ids = "5";
  for (int i = 1; i < 4096; ++i) ids += ",5";
  const SeerctlOutput output = Run({"complete", "--prompt_token_ids=" + ids});
  EXPECT_EQ(output.exit_code, kExitRefused);
  EXPECT_THAT(output.err, HasSubstr("the prompt's 4096 tokens leave no room in "
                                    "the context of 4096"));
}

TEST_F(SeerctlEndToEndTest, Chats) {
  const SeerctlOutput output =
      Run({"chat", "--system=S", "--max_tokens=1"}, "one\ntwo\n");
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(output.out, "w0 \nw0 \n");
  const auto requests = server_.engine().requests();
  ASSERT_EQ(requests.size(), 2);
  // The second turn carries the first and its answer.
  EXPECT_GT(requests[1].prompt.size(), requests[0].prompt.size());
}

TEST_F(SeerctlEndToEndTest, ScoresText) {
  const SeerctlOutput output = Run({"score", "some text", "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json json = Json::parse(output.out);
  EXPECT_DOUBLE_EQ(json["nll_mean"].get<double>(), 0.5);  // the fake engine's
  EXPECT_EQ(json["tokens_scored"],
            json["usage"]["prompt_tokens"].get<int64_t>() - 1);
}

TEST_F(SeerctlEndToEndTest, TokenizesThereAndBack) {
  const std::string text = "Caf\u00e9, two words.";
  const SeerctlOutput ids = Run({"tokenize", text});
  ASSERT_EQ(ids.exit_code, 0) << ids.err;
  EXPECT_EQ(Run({"tokenize", "--detokenize", ids.out}).out, text + "\n");
}

TEST_F(SeerctlEndToEndTest, ShowsStatus) {
  const SeerctlOutput output = Run({"status", "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json json = Json::parse(output.out);
  EXPECT_EQ(json["model"]["name"], "models/fake");
  EXPECT_EQ(json["model"]["context_length"], 4096);
  EXPECT_EQ(json["model"]["gate_sets"][0]["name"], "mean_pool");
  EXPECT_EQ(json["load"]["accepting"], true);
}

}  // namespace
}  // namespace seer
