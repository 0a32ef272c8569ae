#include "client/seerctl.h"

#include <sstream>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "client/output/result_json.h"
#include "client/testing/scripted_server.h"
#include "client/testing/seerctl_run.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

v1::CompleteResponse Frame(const std::string& text) {
  v1::CompleteResponse frame;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &frame));
  return frame;
}

constexpr char kSummary[] = R"(
    summary {
      usage { prompt_tokens: 9 output_tokens: 2 }
      timings { decode { seconds: 1 } time_to_first_token { seconds: 2 } }
      sparsity { realized_sparsity: 0.5 gate: "mean_pool" } })";

// Keeps the requests and answers each with the same frames.
class SeerctlTest : public ::testing::Test {
 protected:
  void Serve(std::vector<std::string> frames,
             grpc::Status status = grpc::Status::OK, int port = 0) {
    Script script;
    script.complete = [this, frames, status](auto&, const auto& request,
                                             auto& writer) {
      requests_.push_back(request);
      for (const std::string& frame : frames) writer.Write(Frame(frame));
      return status;
    };
    script.tokenize = [](const auto& request, v1::TokenizeResponse* response) {
      for (const char byte : request.text()) response->add_token_ids(byte);
      return grpc::Status::OK;
    };
    script.detokenize = [](const auto& request,
                           v1::DetokenizeResponse* response) {
      for (const int32_t id : request.token_ids()) {
        response->mutable_text()->push_back(static_cast<char>(id));
      }
      return grpc::Status::OK;
    };
    script.apply_chat_template = [](const auto& request,
                                    v1::ApplyChatTemplateResponse* response) {
      for (const auto& message : request.chat().messages()) {
        response->mutable_text()->append(message.role() + ":" +
                                         message.content() + ";");
      }
      response->add_token_ids(1);
      return grpc::Status::OK;
    };
    script.get_model = [](const auto&, v1::Model* model) {
      model->set_name("models/m");
      model->mutable_default_sparsity()->set_target_sparsity(0.5);
      model->add_gate_sets()->set_name("mean_pool");
      return grpc::Status::OK;
    };
    script.get_load = [this](const auto&, v1::Load* load) {
      load->set_accepting(++load_calls_ >= 3);
      return grpc::Status::OK;
    };
    server_ = std::make_unique<ScriptedServer>(
        script, grpc::InsecureServerCredentials(), port);
  }

  SeerctlOutput Run(std::vector<std::string> args,
                    const std::string& input = "", bool terminal = false) {
    args.push_back("--server=" + server_->address());
    args.push_back("--retries=0");
    return RunSeerctlOn(args, input, terminal);
  }

  std::vector<v1::CompleteRequest> requests_;
  int load_calls_ = 0;
  std::unique_ptr<ScriptedServer> server_;
};

const std::vector<std::string> kHello = {
    "accepted { request_id: 'r' }",
    "prompt_progress { total: 9 processed: 4 }",
    "delta { text: 'Hel' token_ids: 1 }",
    "delta { text: 'lo' token_ids: 2 }",
    "finish { reason: FINISH_REASON_LENGTH }",
    kSummary};

TEST_F(SeerctlTest, CompletePrintsTextAndAClosingLine) {
  Serve(kHello);
  const SeerctlOutput output =
      Run({"complete", "Say hello", "--max_tokens=2", "--target_sparsity=0.5",
           "--gate=mean_pool", "--temperature=0", "--stop=x"});
  EXPECT_EQ(output.exit_code, 0);
  EXPECT_EQ(output.out, "Hello\n");
  EXPECT_EQ(output.err,
            "TTFT 2.00 s, 1.0 tokens/s, 9 prompt + 2 output tokens, realized "
            "sparsity 0.500, gate mean_pool\n");
  ASSERT_EQ(requests_.size(), 1);
  EXPECT_EQ(requests_[0].ShortDebugString(),
            "text: \"Say hello\" max_tokens: 2 stop_strings: \"x\" sampling { "
            "temperature: 0 } sparsity { target_sparsity: 0.5 builtin: "
            "BUILTIN_GATE_MEAN_POOL }");
}

TEST_F(SeerctlTest, CompleteSendsEveryFlag) {
  Serve(kHello);
  const SeerctlOutput output = Run(
      {"complete", "--json", "--system=S", "U", "--min_tokens=1",
       "--stop_token_id=7", "--ignore_eos", "--top_p=0.5", "--top_k=3",
       "--min_p=0.25", "--repetition_penalty=1.5", "--presence_penalty=0.5",
       "--frequency_penalty=-0.5", "--logit_bias=4:-2", "--seed=11", "--n=2",
       "--logprobs=0", "--prompt_logprobs=5", "--request_id=mine"});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  ASSERT_EQ(requests_.size(), 1);
  EXPECT_EQ(requests_[0].ShortDebugString(),
            "chat { messages { role: \"system\" content: \"S\" } messages { "
            "role: \"user\" content: \"U\" } } min_tokens: 1 stop_token_ids: 7 "
            "ignore_eos: true sampling { top_p: 0.5 top_k: 3 min_p: 0.25 "
            "repetition_penalty: 1.5 presence_penalty: 0.5 frequency_penalty: "
            "-0.5 seed: 11 n: 2 logit_bias { key: 4 value: -2 } } logprobs: 0 "
            "prompt_logprobs: 5 client_request_id: \"mine\"");
}

TEST_F(SeerctlTest, CompleteDrawsProgressOnATerminal) {
  Serve(kHello);
  const SeerctlOutput shown = Run({"complete", "x"}, "", /*terminal=*/true);
  EXPECT_THAT(shown.err, HasSubstr("] 4/9 tokens"));
  EXPECT_EQ(shown.out, "Hello\n");
  const SeerctlOutput quiet = Run({"complete", "x", "--quiet"}, "", true);
  EXPECT_EQ(quiet.err, "");
  EXPECT_THAT(Run({"complete", "x"}).err, Not(HasSubstr("prefill")));
}

TEST_F(SeerctlTest, CompletePrintsOneJsonObject) {
  Serve(kHello);
  const SeerctlOutput output = Run({"complete", "x", "--json"});
  const Json json = Json::parse(output.out);
  EXPECT_EQ(json["request_id"], "r");
  EXPECT_EQ(json["choices"][0]["text"], "Hello");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["sparsity"]["realized_sparsity"], 0.5);
  EXPECT_EQ(json["timings"]["time_to_first_token_seconds"], 2.0);
}

TEST_F(SeerctlTest, CompletePrintsChoicesApart) {
  Serve({"delta { index: 1 text: 'b' }", "delta { index: 0 text: 'a' }",
         kSummary});
  EXPECT_EQ(Run({"complete", "x", "--n=2"}).out,
            "--- choice 0\na\n--- choice 1\nb\n");
}

TEST_F(SeerctlTest, ErrorsAreOneLineAndACode) {
  google::rpc::BadRequest bad_request;
  bad_request.add_field_violations()->set_field("sparsity.target_sparsity");
  Serve({}, WithDetails(grpc::INVALID_ARGUMENT, "must be in [0, 1)",
                        {&bad_request}));
  const SeerctlOutput output = Run({"complete", "x", "--target_sparsity=1"});
  EXPECT_EQ(output.exit_code, kExitRefused);
  EXPECT_EQ(output.out, "");
  EXPECT_EQ(output.err,
            "seerctl: INVALID_ARGUMENT: must be in [0, 1) (field "
            "sparsity.target_sparsity)\n");
  const SeerctlOutput json = Run({"complete", "x", "--json"});
  EXPECT_EQ(json.err, output.err);
  EXPECT_EQ(json.out,
            R"json({"error":{"code":"INVALID_ARGUMENT",)json"
            R"json("message":"must be in [0, 1)","fields":[{"path":)json"
            R"json("sparsity.target_sparsity","description":""}],)json"
            R"json("reason":"","metadata":{},"resource":"",)json"
            R"json("retry_delay_seconds":null,"request_id":""}})json"
            "\n");
}

TEST_F(SeerctlTest, CodesBecomeExitCodes) {
  const auto exit_code = [&](grpc::StatusCode code) {
    Serve({"delta { text: 'partial' }"}, grpc::Status(code, "no"));
    const SeerctlOutput output = Run({"complete", "x"});
    EXPECT_EQ(output.out, "partial\n");
    return output.exit_code;
  };
  EXPECT_EQ(exit_code(grpc::INVALID_ARGUMENT), 2);
  EXPECT_EQ(exit_code(grpc::NOT_FOUND), 2);
  EXPECT_EQ(exit_code(grpc::FAILED_PRECONDITION), 2);
  EXPECT_EQ(exit_code(grpc::UNIMPLEMENTED), 2);
  EXPECT_EQ(exit_code(grpc::UNAVAILABLE), 3);
  EXPECT_EQ(exit_code(grpc::RESOURCE_EXHAUSTED), 3);
  EXPECT_EQ(exit_code(grpc::CANCELLED), 4);
  EXPECT_EQ(exit_code(grpc::DEADLINE_EXCEEDED), 4);
  EXPECT_EQ(exit_code(grpc::INTERNAL), 5);
}

TEST_F(SeerctlTest, ChatCarriesTheConversation) {
  Serve(kHello);
  const SeerctlOutput output =
      Run({"chat", "--system=S"}, "one\n\ntwo\n/reset\nthree");
  EXPECT_EQ(output.exit_code, 0);
  EXPECT_EQ(output.out, "Hello\nHello\nHello\n");
  ASSERT_EQ(requests_.size(), 3);
  EXPECT_EQ(requests_[1].ShortDebugString(),
            "chat { messages { role: \"system\" content: \"S\" } messages { "
            "role: \"user\" content: \"one\" } messages { role: \"assistant\" "
            "content: \"Hello\" } messages { role: \"user\" content: \"two\" } "
            "}");
  EXPECT_EQ(requests_[2].ShortDebugString(),
            "chat { messages { role: \"system\" content: \"S\" } messages { "
            "role: \"user\" content: \"three\" } }");
}

TEST_F(SeerctlTest, ChatPrintsJsonLines) {
  Serve(kHello);
  std::istringstream lines(Run({"chat", "--json"}, "one\ntwo\n").out);
  int num_lines = 0;
  for (std::string line; std::getline(lines, line); ++num_lines) {
    EXPECT_EQ(Json::parse(line)["choices"][0]["text"], "Hello");
  }
  EXPECT_EQ(num_lines, 2);
}

TEST_F(SeerctlTest, ChatForgetsFailedTurns) {
  Serve({}, grpc::Status(grpc::RESOURCE_EXHAUSTED, "full"));
  const SeerctlOutput piped = Run({"chat"}, "one\ntwo\n");
  EXPECT_EQ(piped.exit_code, kExitUnavailable);
  EXPECT_EQ(requests_.size(), 1);
  requests_.clear();
  const SeerctlOutput terminal = Run({"chat"}, "one\ntwo\n", /*terminal=*/true);
  EXPECT_EQ(terminal.exit_code, 0);
  EXPECT_THAT(terminal.err, HasSubstr("seerctl: RESOURCE_EXHAUSTED: full\n"));
  ASSERT_EQ(requests_.size(), 2);
  EXPECT_EQ(requests_[1].chat().messages_size(), 1);
}

TEST_F(SeerctlTest, ChatSendsNoUnknownCommand) {
  Serve(kHello);
  const SeerctlOutput output =
      Run({"chat"}, "/quit now\none\n", /*terminal=*/true);
  EXPECT_THAT(output.err, HasSubstr("no command /quit: there is /reset"));
  ASSERT_EQ(requests_.size(), 1);
  EXPECT_EQ(requests_[0].chat().messages(0).content(), "one");
}

TEST_F(SeerctlTest, TokenizeGoesBothWays) {
  Serve({});
  EXPECT_EQ(Run({"tokenize", "AB"}).out, "65 66\n");
  EXPECT_EQ(Run({"tokenize", "AB", "--count"}).out, "2\n");
  EXPECT_EQ(Run({"tokenize", "AB", "--json"}).out,
            "{\"count\":2,\"token_ids\":[65,66]}\n");
  EXPECT_EQ(Run({"tokenize", "--detokenize", "65 66"}).out, "AB\n");
  EXPECT_EQ(Run({"tokenize", "--detokenize", "--prompt_token_ids=65,66"}).out,
            "AB\n");
  EXPECT_EQ(Run({"tokenize", "--detokenize", "65,66", "--json"}).out,
            "{\"text\":\"AB\"}\n");
  EXPECT_EQ(Run({"tokenize", "--system=S", "U", "--json"}).out,
            "{\"text\":\"system:S;user:U;\",\"count\":1,\"token_ids\":[1]}\n");
}

TEST_F(SeerctlTest, ScorePrintsPerplexity) {
  Serve({"prompt_logprobs { start: 1 entries { token { logprob: -1 } } }",
         "prompt_logprobs { start: 2 entries { token { logprob: -2 } } }",
         "summary { sparsity { realized_sparsity: 0.5 gate: 'mean_pool' "
         "closest_feasible: true } }"});
  const SeerctlOutput text = Run({"score", "abc", "--top_k_blocks=4"});
  EXPECT_EQ(text.out,
            "perplexity 4.4817, NLL 1.50000 nats/token over 2 tokens, realized "
            "sparsity 0.500 (closest feasible), gate mean_pool\n");
  EXPECT_EQ(requests_[0].ShortDebugString(),
            "text: \"abc\" max_tokens: 0 prompt_logprobs: 0 sparsity { "
            "top_k_blocks: 4 }");
  const Json json = Json::parse(Run({"score", "abc", "--json"}).out);
  EXPECT_EQ(json["tokens_scored"], 2);
  EXPECT_EQ(json["nll_sum"], 3.0);
  EXPECT_EQ(json["nll_mean"], 1.5);
  EXPECT_NEAR(json["perplexity"], 4.4816890703, 1e-9);
  EXPECT_EQ(json["sparsity"]["gate"], "mean_pool");
  EXPECT_TRUE(json["timings"]["time_to_first_token_seconds"].is_null());
  EXPECT_FALSE(json.contains("prompt_logprobs"));
  EXPECT_FALSE(json.contains("choices"));
  const Json with_tokens =
      Json::parse(Run({"score", "abc", "--json", "--logprobs=0"}).out);
  EXPECT_EQ(with_tokens["prompt_logprobs"].size(), 2);
}

TEST_F(SeerctlTest, ScoreNeedsTwoTokens) {
  Serve({kSummary});
  EXPECT_EQ(Run({"score", "a"}).exit_code, kExitRefused);
}

TEST_F(SeerctlTest, StatusShowsModelLoadAndGates) {
  Serve({});
  const SeerctlOutput output = Run({"status"});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_THAT(output.out, AllOf(HasSubstr("model      models/m"),
                                HasSubstr("default    target_sparsity 0.5\n"),
                                HasSubstr("gate       mean_pool"),
                                HasSubstr("accepting  no\n")));
  const Json json = Json::parse(Run({"status", "--json"}).out);
  EXPECT_EQ(json["model"]["name"], "models/m");
  EXPECT_EQ(json["load"]["accepting"], false);
}

TEST_F(SeerctlTest, StatusWaitsUntilTheServerAccepts) {
  Serve({});
  EXPECT_THAT(Run({"status", "--wait=30s"}).out, HasSubstr("accepting  yes"));
  load_calls_ = -1000000;
  const SeerctlOutput late = Run({"status", "--wait=1ms"});
  EXPECT_EQ(late.exit_code, kExitUnavailable);
  EXPECT_THAT(late.err, HasSubstr("not accepting requests after 1ms"));
}

TEST_F(SeerctlTest, StatusWaitsUntilThereIsAServer) {
  Serve({});
  load_calls_ = 10;
  const std::string address = server_->address();
  const int port = server_->port();
  server_.reset();
  std::thread starter([&] {
    absl::SleepFor(absl::Milliseconds(300));
    Serve({}, grpc::Status::OK, port);
  });
  // Below the 5 s at which gRPC looks after connections that nobody awaits.
  const SeerctlOutput output = RunSeerctlOn(
      {"status", "--wait=4s", "--retries=0", "--server=" + address});
  starter.join();
  EXPECT_EQ(output.exit_code, 0) << output.err;
}

TEST_F(SeerctlTest, DeadlinesAreHonoured) {
  Script script;
  script.complete = [](auto& context, const auto&, auto& writer) {
    writer.Write(Frame("delta { text: 'a' }"));
    while (!context.IsCancelled()) {
    }
    return grpc::Status::CANCELLED;
  };
  server_ = std::make_unique<ScriptedServer>(script);
  const SeerctlOutput output = Run({"complete", "x", "--timeout=200ms"});
  EXPECT_EQ(output.exit_code, kExitCancelled);
  EXPECT_THAT(output.err, StartsWith("seerctl: DEADLINE_EXCEEDED"));
}

TEST(SeerctlUsageTest, NobodyThereIsUnavailable) {
  std::string address;
  { address = ScriptedServer(Script()).address(); }
  const SeerctlOutput output =
      RunSeerctlOn({"status", "--server=" + address, "--retries=0"});
  EXPECT_EQ(output.exit_code, kExitUnavailable);
  EXPECT_THAT(output.err, StartsWith("seerctl: UNAVAILABLE: "));
}

TEST(SeerctlUsageTest, WrongUsageIsOneLine) {
  const auto error = [](std::vector<std::string> args) {
    const SeerctlOutput output = RunSeerctlOn(args);
    EXPECT_EQ(output.exit_code, kExitUsage);
    EXPECT_THAT(output.out, IsEmpty());
    return output.err;
  };
  EXPECT_EQ(error({"compleet"}),
            "seerctl: unknown command \"compleet\" (see seerctl --help)\n");
  EXPECT_EQ(error({"complete", "x", "--tempreature=1"}),
            "seerctl: unknown flag --tempreature (see seerctl complete "
            "--help)\n");
  EXPECT_EQ(error({"--server=127.0.0.1:1", "status"}),
            "seerctl: --server=127.0.0.1:1 before the command: flags follow it "
            "(see seerctl --help)\n");
  EXPECT_THAT(error({"complete"}), StartsWith("seerctl: no prompt"));
  EXPECT_THAT(error({"complete", "--prompt_file=a", "--prompt_file=b"}),
              HasSubstr("--prompt_file is given twice"));
  EXPECT_THAT(error({"complete", "x", "--logprobs=1"}),
              HasSubstr("need --json"));
  EXPECT_THAT(error({"score", "x", "--logprobs=1"}), HasSubstr("needs --json"));
  EXPECT_THAT(error({"complete", "x", "--dense", "--threshold=0"}),
              HasSubstr("give one of"));
  EXPECT_THAT(error({"chat", "hello"}), HasSubstr("takes no arguments"));
  EXPECT_THAT(error({"status", "hello"}), HasSubstr("takes no arguments"));
  EXPECT_THAT(error({"tokenize", "--detokenize", "x"}),
              HasSubstr("is no token id"));
  EXPECT_THAT(error({"tokenize", "--detokenize", "1", "--count"}),
              HasSubstr("goes with none of"));
  EXPECT_THAT(error({"tokenize", "--prompt_token_ids=1"}),
              HasSubstr("--prompt_token_ids needs --detokenize"));
  EXPECT_THAT(error({"tokenize", "--detokenize", "--prompt_token_ids=1", "2"}),
              HasSubstr("goes with no other prompt"));
  EXPECT_THAT(error({"tokenize", "x", "--skip_special"}),
              HasSubstr("needs --detokenize"));
  EXPECT_THAT(error({"status", "--timeout=-1s"}),
              HasSubstr("--timeout must be positive"));
  EXPECT_THAT(error({"status", "--retries=-1"}), HasSubstr("--retries"));
  EXPECT_THAT(error({"status", "--cert_file=x"}), HasSubstr("go together"));
  EXPECT_THAT(error({"status", "--ca_file=/nowhere"}),
              HasSubstr("cannot read /nowhere"));
  EXPECT_THAT(error({"status", "--server="}), HasSubstr("target is empty"));
  for (const std::string server :
       {"127.0.0.1", "localhost:", "localhost:0", "http://localhost:8470"}) {
    EXPECT_THAT(error({"status", "--server=" + server}),
                HasSubstr("must be HOST:PORT"));
  }
  EXPECT_THAT(error({}), HasSubstr("Commands:"));
}

TEST(SeerctlUsageTest, SaysItsVersion) {
  for (const char* arg : {"--version", "version"}) {
    const SeerctlOutput output = RunSeerctlOn({arg});
    EXPECT_EQ(output.exit_code, 0);
    EXPECT_THAT(output.out, StartsWith("seerctl 0."));
  }
}

TEST(SeerctlUsageTest, HelpGoesToStandardOutput) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--help"}, {"help"}}) {
    const SeerctlOutput output = RunSeerctlOn(args);
    EXPECT_EQ(output.exit_code, 0);
    EXPECT_THAT(output.out,
                AllOf(HasSubstr("complete"), HasSubstr("chat"),
                      HasSubstr("tokenize"), HasSubstr("score"),
                      HasSubstr("status"), HasSubstr("Exit codes")));
  }
  for (const char* command : {"complete", "chat", "tokenize", "score",
                              "evaluate", "needle", "status"}) {
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{command, "--help"}, {"help", command}}) {
      const SeerctlOutput output = RunSeerctlOn(args);
      EXPECT_EQ(output.exit_code, 0);
      EXPECT_THAT(output.out,
                  AllOf(StartsWith("Usage: seerctl " + std::string(command)),
                        HasSubstr("--server=HOST:PORT"), HasSubstr("--json")));
    }
  }
  EXPECT_EQ(RunSeerctlOn({"complete", "--", "--help", "x"}).exit_code,
            kExitUsage);
}

}  // namespace
}  // namespace seer
