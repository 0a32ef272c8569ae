// seerctl's measurements, against a server whose model is arithmetic.
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <vector>

#include "client/output/result_json.h"
#include "client/seerctl.h"
#include "client/testing/scripted_server.h"
#include "client/testing/seerctl_run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_folder.h"

namespace seer {
namespace {

using ::testing::HasSubstr;

// A prompt's text, where every byte is a token.
std::string TextOf(const v1::CompleteRequest& request) {
  return {request.token_ids().ids().begin(), request.token_ids().ids().end()};
}

class SeerctlEvaluateTest : public ::testing::Test {
 protected:
  SeerctlEvaluateTest() {
    Script script;
    script.tokenize = [](const auto& request, v1::TokenizeResponse* response) {
      if (request.add_special()) response->add_token_ids(1);
      for (const char byte : request.text()) response->add_token_ids(byte);
      return grpc::Status::OK;
    };
    script.get_model = [](const auto&, v1::Model* model) {
      model->set_name("models/m");
      model->add_gate_sets()->set_name("mean_pool");
      return grpc::Status::OK;
    };
    script.complete = [this](auto&, const auto& request, auto& writer) {
      return Score(request, writer);
    };
    server_ = std::make_unique<ScriptedServer>(script);
  }

  // What a token is worth after those before it.
  virtual double Logprob(const v1::CompleteRequest& request, size_t position) {
    const double sparsity = request.sparsity().target_sparsity();
    const bool last_quarter =
        4 * position >= 3u * request.token_ids().ids_size();
    return -1 - (last_quarter ? sparsity : 0);
  }

  grpc::Status Score(const v1::CompleteRequest& request,
                     grpc::ServerWriter<v1::CompleteResponse>& writer) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      requests_.push_back(request);
    }
    if (request.sparsity().gate_set() == "models/m/gateSets/bad") {
      return grpc::Status(grpc::NOT_FOUND, "no such gate set");
    }
    const int num_ids = request.token_ids().ids_size();
    // In two frames, as a server with chunks sends them.
    for (int start = 1; start < num_ids; start += num_ids / 2) {
      v1::CompleteResponse frame;
      frame.mutable_prompt_logprobs()->set_start(start);
      const int end = std::min(num_ids, start + num_ids / 2);
      for (int i = start; i < end; ++i) {
        frame.mutable_prompt_logprobs()
            ->add_entries()
            ->mutable_token()
            ->set_logprob(Logprob(request, i));
      }
      writer.Write(frame);
    }
    v1::CompleteResponse last;
    v1::SparsityReport* report = last.mutable_summary()->mutable_sparsity();
    report->set_blocks_visible(1000);
    report->set_blocks_selected(static_cast<int64_t>(
        1000 * (1 - request.sparsity().target_sparsity()) + 0.5));
    writer.Write(last);
    return grpc::Status::OK;
  }

  SeerctlOutput Run(std::vector<std::string> args) {
    args.push_back("--server=" + server_->address());
    args.push_back("--retries=0");
    return RunSeerctlOn(args);
  }

  std::string Write(const std::string& name, const std::string& content) {
    const std::string path = folder_.path() + "/" + name;
    std::ofstream(path) << content;
    return path;
  }

  std::string Read(const std::string& name) {
    std::ifstream file(folder_.path() + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TemporaryFolder folder_;
  std::mutex mutex_;
  std::vector<v1::CompleteRequest> requests_;
  std::unique_ptr<ScriptedServer> server_;
};

TEST_F(SeerctlEvaluateTest, MeasuresEveryCell) {
  Write("b.txt", std::string(100, 'b'));
  Write("a.txt", std::string(40, 'a'));
  const SeerctlOutput output =
      Run({"evaluate", folder_.path(), "--lengths=17,33", "--windows=2",
           "--densities=0.5,0.25", "--json"});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  const Json json = Json::parse(output.out);
  // Dense and two densities of mean_pool, uniform; two texts and all of them.
  ASSERT_EQ(json["cells"].size(), 3u * 2 * 3);
  EXPECT_EQ(json["left_out"].size(), 1);  // mean_pool profiled
  const Json& cell = json["cells"][8];    // text b, 17 tokens, density 0.25
  EXPECT_EQ(cell["text"], "b");
  EXPECT_EQ(cell["length"], 17);
  EXPECT_EQ(cell["density"], 0.25);
  EXPECT_EQ(cell["realized_density"], 0.25);
  EXPECT_EQ(cell["window_starts"], Json({0, 84}));
  // Two windows of a begin token and 16 more; those at 13..16 are the last
  // quarter.
  EXPECT_EQ(cell["tokens_scored"], 32);
  EXPECT_EQ(cell["nll_sum"], 32 + 8 * 0.75);
  EXPECT_NEAR(cell["relative_to_dense"], std::exp(6.0 / 32) - 1, 1e-12);
  EXPECT_NEAR(cell["last_quarter"]["perplexity"], std::exp(1.75), 1e-12);
  const Json& all = json["cells"][17];
  EXPECT_EQ(all["text"], "all");
  EXPECT_EQ(all["length"], 33);
  EXPECT_EQ(all["tokens_scored"], (1 + 2) * 32);
  EXPECT_EQ(requests_.size(), 3u * (2 + 1 + 2 + 2));
  for (const v1::CompleteRequest& request : requests_) {
    EXPECT_EQ(request.token_ids().ids(0), 1);
    EXPECT_EQ(request.max_tokens(), 0);
    EXPECT_TRUE(request.has_prompt_logprobs());
  }
}

TEST_F(SeerctlEvaluateTest, ReportsFailedCellsAndGoesOn) {
  const std::string text = Write("t.txt", std::string(64, 't'));
  const std::string plot = folder_.path() + "/plot.svg";
  const SeerctlOutput output =
      Run({"evaluate", text, "--lengths=64,1000", "--densities=0.5",
           "--gates=models/m/gateSets/bad,mean_pool", "--allocations=uniform",
           "--json_file=" + folder_.path() + "/report.json", "--plot=" + plot});
  EXPECT_EQ(output.exit_code, kExitRefused);
  EXPECT_EQ(output.err,
            "seerctl: NOT_FOUND: 1 of 3 cells failed, the first: no such gate "
            "set\n");
  EXPECT_THAT(output.out, HasSubstr("failed: NOT_FOUND: no such gate set"));
  EXPECT_THAT(output.out, HasSubstr("mean_pool uniform"));
  EXPECT_THAT(output.out, HasSubstr("left out: t at 1000: it has 64 tokens"));
  EXPECT_EQ(Json::parse(Read("report.json"))["num_failed"], 1);
  EXPECT_THAT(Read("plot.svg"), HasSubstr("mean_pool uniform</text>"));
}

TEST_F(SeerctlEvaluateTest, WrongUsageSendsNothing) {
  const std::string text = Write("t.txt", "text");
  const auto error = [&](std::vector<std::string> args) {
    const SeerctlOutput output = Run(std::move(args));
    EXPECT_EQ(output.exit_code, kExitUsage);
    return output.err;
  };
  EXPECT_THAT(error({"evaluate"}), HasSubstr("no texts"));
  EXPECT_THAT(error({"evaluate", text, text}), HasSubstr("two texts"));
  EXPECT_THAT(error({"evaluate", text, "--densities=0.5,"}),
              HasSubstr("several separated by commas"));
  EXPECT_THAT(error({"evaluate", text, "--gates=nosuch"}),
              HasSubstr("a gate cannot be \"nosuch\""));
  EXPECT_THAT(error({"evaluate", text, "--plot=/nowhere/x.svg"}),
              HasSubstr("cannot write /nowhere/x.svg"));
  EXPECT_THAT(error({"needle", text, "--depths=2"}), HasSubstr("[0, 1]"));
  EXPECT_THAT(error({"needle", text, "--candidates=1"}),
              HasSubstr("--candidates"));
  EXPECT_TRUE(requests_.empty());
}

// Knows what it can see: dense, the whole prompt; sparse, its first half. It
// finds a number likely where it sees the sentence that it completes.
class SeerctlNeedleTest : public SeerctlEvaluateTest {
 protected:
  double Logprob(const v1::CompleteRequest& request, size_t position) override {
    const std::string text = TextOf(request);
    const size_t question = text.rfind("The secret");
    if (position < question) return -1;
    const size_t seen =
        request.sparsity().has_dense() ? question : text.size() / 2;
    const bool known = text.substr(0, seen).find(text.substr(question) + ".") !=
                       std::string::npos;
    return known ? -0.5 : -2;
  }
};

TEST_F(SeerctlNeedleTest, FindsWhatIsInSight) {
  const std::string text = Write("t.txt", std::string(3000, 'x'));
  const SeerctlOutput output =
      Run({"needle", text, "--lengths=2000", "--densities=0.5",
           "--depths=0.2,0.8", "--trials=3", "--candidates=4", "--json"});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  const Json json = Json::parse(output.out);
  ASSERT_EQ(json["cells"].size(), 4);
  const auto right = [&](int cell) { return json["cells"][cell]["right"]; };
  EXPECT_EQ(right(0), 3);  // dense
  EXPECT_EQ(right(1), 3);
  EXPECT_EQ(right(2), 3);  // sparse, at 0.2
  EXPECT_EQ(right(3), 0);  // and at 0.8: all four are unknown
  EXPECT_EQ(json["cells"][3]["mean_rank"], 4);
  EXPECT_EQ(json["cells"][3]["realized_density"], 0.5);
  ASSERT_EQ(requests_.size(), 4u * 3 * 4);
  for (const v1::CompleteRequest& request : requests_) {
    EXPECT_EQ(request.token_ids().ids_size(), 2000);
  }
  EXPECT_THAT(Run({"needle", text, "--lengths=2000", "--depths=0.5",
                   "--densities=1", "--trials=1"})
                  .out,
              HasSubstr("2000  dense    1.000   1.0000    1.00\n"));
  EXPECT_THAT(Run({"needle", text, "--lengths=9000"}).err,
              HasSubstr("the text has 3000"));
}

}  // namespace
}  // namespace seer
