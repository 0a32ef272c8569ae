// Gate sets that come and go while the engine runs.
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/errors.h"
#include "engine/gate/policy/gate_table.h"
#include "engine/llama_engine.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_engine.h"
#include "tests/testing/engine/tiny/tiny_gate_set.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

class LlamaEngineGatesTest : public TinyEngineTest,
                             public testing::WithParamInterface<std::string> {
 protected:
  LlamaEngineGatesTest() {
    options_.model_dir = testing::TempDir() + "gates_on_" + GetParam();
    mkdir(options_.model_dir.c_str(), 0700);
    options_.device = GetParam();
    options_.kv_memory_fraction = 0.2;
    // Of requests without a policy.
    options_.policy.default_policy =
        MeanPoolPolicy(BudgetKind::kTargetSparsity);
    options_.policy.default_policy.gate.reset();
  }
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    Start();
  }

  // A gate set file for the engine's model; other seeds, other weights.
  std::string Write(uint64_t seed,
                    const std::string& design = "Qavg_Kmaxminavg") {
    TinyGateSetOptions gate;
    gate.fingerprint = engine_->model().fingerprint;
    gate.seed = seed;
    gate.design = design;
    const std::string path =
        absl::StrCat(options_.model_dir, "/gate-", seed, ".safetensors");
    EXPECT_TRUE(WriteTinyGateSet(path, gate).ok());
    return path;
  }
  std::string Install(uint64_t seed) {
    const auto facts = engine_->gates().Install(Write(seed));
    EXPECT_TRUE(facts.ok()) << facts.status();
    return facts->name;
  }

  static GenerationRequest Under(GenerationRequest request, GateChoice gate) {
    request.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
    request.policy->gate = std::move(gate);
    return request;
  }
  static GenerationRequest Under(GenerationRequest request,
                                 const std::string& name) {
    return Under(std::move(request), {GateChoice::Kind::kNamed, name});
  }
  std::unique_ptr<TokenStream> Begin(GenerationRequest request) {
    auto stream = engine_->Submit(std::move(request));
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *std::move(stream);
  }
  // The gate of a stream that is read to its end.
  static std::string GateOf(TokenStream& stream) {
    const GatheredReply reply = Gather(stream);
    EXPECT_TRUE(reply.summary.has_value()) << reply.status;
    if (!reply.summary.has_value()) return "";
    return reply.summary->sparsity.effective.gate;
  }
};

TEST_P(LlamaEngineGatesTest, ARequestKeepsTheSetItBeganWith) {
  const std::string a = Install(1);
  const std::string b = Install(2);
  std::vector<GenerationRequest> requests;
  std::vector<GatheredReply> alone;
  for (const std::string& name : {a, b}) {
    requests.push_back(GreedyRequest(1500, 16, requests.size()));
    alone.push_back(Run(Under(requests.back(), name)));
    ASSERT_TRUE(alone.back().summary.has_value()) << alone.back().status;
  }
  ASSERT_TRUE(engine_->gates().SetRouting({a, "", 0.0}).ok());
  const auto before = Begin(requests[0]);
  ASSERT_TRUE(engine_->gates().SetRouting({b, "", 0.0}).ok());
  const auto after = Begin(requests[1]);
  int i = 0;
  for (TokenStream* stream : {before.get(), after.get()}) {
    const GatheredReply reply = Gather(*stream);
    ASSERT_TRUE(reply.summary.has_value()) << reply.status;
    const SparsityReport& report = reply.summary->sparsity;
    EXPECT_EQ(report.effective.gate, i == 0 ? a : b);
    EXPECT_EQ(report.effective.gate_version,
              alone[i].summary->sparsity.effective.gate_version);
    const auto& accepted = std::get<AcceptedEvent>(reply.events[0]);
    EXPECT_EQ(accepted.gate, report.effective.gate);
    EXPECT_EQ(accepted.gate_version, report.effective.gate_version);
    EXPECT_EQ(report.Selected(), alone[i].summary->sparsity.Selected());
    if (GetParam() == "cpu") {
      // The seeds are such that no greedy choice is a near-tie.
      EXPECT_EQ(reply.choices[0].token_ids, alone[i].choices[0].token_ids);
    }
    ++i;
  }
  EXPECT_GT(observer_.mixed_steps, 0);
  // The two sets choose otherwise, or the comparison would show nothing.
  EXPECT_NE(Run(Under(requests[0], b)).choices[0].token_ids,
            alone[0].choices[0].token_ids);
}

TEST_P(LlamaEngineGatesTest, ARemovedSetServesWhoBeganWithIt) {
  engine_.reset();
  options_.gate_slots = 1;
  options_.event_stream.capacity_bytes = 64;  // who does not read is held
  Start();
  const int64_t without = engine_->Stats().gate_bytes;
  const std::string a = Install(1);
  const int64_t with_one = engine_->Stats().gate_bytes;
  EXPECT_EQ(with_one > without, GetParam() == "cpu");
  const GenerationRequest request = Under(GreedyRequest(1000, 300), a);
  const GatheredReply expected = Run(request);
  const auto running = Begin(request);
  ASSERT_TRUE(engine_->gates().Remove(a).ok());
  EXPECT_EQ(Refused(request).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(engine_->gate_sets().size(), 1u);
  const std::string path = Write(2);
  const absl::Status full = engine_->gates().Install(path).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(ReasonOf(full).has_value());
  EXPECT_EQ(ReasonOf(full)->reason, "GATE_SLOTS");
  EXPECT_EQ(engine_->Stats().gate_bytes, with_one);
  const GatheredReply reply = Gather(*running);
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  EXPECT_EQ(reply.summary->sparsity.effective.gate, a);
  EXPECT_EQ(reply.choices[0].token_ids, expected.choices[0].token_ids);
  EXPECT_TRUE(Eventually([&] { return engine_->gates().Install(path).ok(); }));
  EXPECT_EQ(engine_->Stats().gate_bytes, with_one);
}

TEST_P(LlamaEngineGatesTest, LabelsAndTheDefaultPolicyFollowTheRouting) {
  const GenerationRequest request = GreedyRequest(1000, 1);
  const GateChoice kStable{GateChoice::Kind::kStable, ""};
  const GateChoice kCanary{GateChoice::Kind::kCanary, ""};
  const std::string a = Install(1);
  const std::string b = Install(2);
  EXPECT_EQ(engine_->gates().SetRouting({"none", "", 0.0}).code(),
            absl::StatusCode::kNotFound);
  // Installed is not routed: there is no label, and the default is dense.
  EXPECT_EQ(Refused(Under(request, kStable)).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Refused(Under(request, kCanary)).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GateOf(*Begin(request)), "");

  ASSERT_TRUE(engine_->gates().SetRouting({a, b, 0.25}).ok());
  EXPECT_EQ(GateOf(*Begin(Under(request, kStable))), a);
  EXPECT_EQ(GateOf(*Begin(Under(request, kCanary))), b);
  std::set<std::string> used;
  for (int i = 0; i < 12; ++i) {
    GenerationRequest one = request;
    one.request_id = absl::StrCat("request-", i);
    const std::string gate = GateOf(*Begin(one));
    EXPECT_EQ(gate, CanaryPoint(one.request_id) < 0.25 ? b : a);
    used.insert(gate);
  }
  EXPECT_EQ(used.size(), 2u);
  const std::vector<GateSetInfo> sets = engine_->gate_sets();
  ASSERT_EQ(sets.size(), 3u);
  EXPECT_FALSE(sets[0].stable || sets[0].canary);
  EXPECT_TRUE(sets[1].name == a && sets[1].stable && !sets[1].canary);
  EXPECT_TRUE(sets[2].name == b && sets[2].canary && !sets[2].stable);
  EXPECT_EQ(engine_->gates().Remove(b).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_P(LlamaEngineGatesTest, FilesAreValidatedAndRefusedByWhatIsWrong) {
  GateControl& gates = engine_->gates();
  const std::string good = Write(1);
  const auto facts = gates.Validate(good);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->name, absl::StrCat("models/tiny/gateSets/sha256-",
                                      facts->version.substr(0, 12)));
  EXPECT_EQ(facts->design, "Qavg_Kmaxminavg");
  EXPECT_EQ(facts->fingerprint, engine_->model().fingerprint);
  struct stat info;
  ASSERT_EQ(stat(good.c_str(), &info), 0);
  EXPECT_EQ(facts->num_bytes, info.st_size);
  EXPECT_EQ(engine_->gate_sets().size(), 1u);

  TinyGateSetOptions gate;
  gate.fingerprint = engine_->model().fingerprint;
  gate.model.num_query_heads = 8;
  const std::string shape = options_.model_dir + "/shape";
  ASSERT_TRUE(WriteTinyGateSet(shape, gate).ok());
  gate.model = TinyLlamaOptions();
  gate.fingerprint = "of another model";
  const std::string other = options_.model_dir + "/other";
  ASSERT_TRUE(WriteTinyGateSet(other, gate).ok());
  const std::string text = options_.model_dir + "/text";
  std::ofstream(text) << "no gate set";
  struct Case {
    std::string path;
    absl::StatusCode code;
    const char* said;
  };
  for (const Case& c : std::vector<Case>{
           {shape, absl::StatusCode::kInvalidArgument, "mask_linear_k"},
           {other, absl::StatusCode::kFailedPrecondition, "fingerprint"},
           {text, absl::StatusCode::kInvalidArgument, ""},
           {other + "-not", absl::StatusCode::kNotFound, ""}}) {
    for (const absl::Status& status :
         {gates.Validate(c.path).status(), gates.Install(c.path).status()}) {
      EXPECT_EQ(status.code(), c.code) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), c.said)) << status;
    }
  }
  EXPECT_EQ(engine_->gate_sets().size(), 1u);
  // Twice the same is one.
  EXPECT_EQ(Install(1), facts->name);
  EXPECT_EQ(Install(1), facts->name);
  EXPECT_EQ(engine_->gate_sets().size(), 2u);
}

TEST_P(LlamaEngineGatesTest, StreamsRunOnWhileSetsComeAndGo) {
  const std::string a = Install(1);
  const std::string b = Install(2);
  const std::string path = Write(3);
  ASSERT_TRUE(engine_->gates().SetRouting({a, b, 0.5}).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> num_done{0};
  std::vector<std::thread> clients;
  for (int client = 0; client < 3; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; !stop; ++i) {
        GenerationRequest request = GreedyRequest(700, 4, client);
        request.request_id = absl::StrCat("client-", client, "-", i);
        const std::string gate = GateOf(*Begin(request));
        EXPECT_TRUE(gate == a || gate == b) << gate;
        ++num_done;
      }
    });
  }
  for (int round = 0; round < 10 || num_done < 20; ++round) {
    // Who submits may still hold the table of the round before for a moment.
    absl::StatusOr<GateFileFacts> installed;
    EXPECT_TRUE(Eventually([&] {
      installed = engine_->gates().Install(path);
      return installed.ok();
    })) << installed.status();
    if (!installed.ok()) break;
    EXPECT_TRUE(engine_->gates().SetRouting({b, a, 0.25}).ok());
    EXPECT_GT(engine_->Stats().gate_bytes, 0);
    EXPECT_EQ(engine_->gate_sets().size(), 4u);
    EXPECT_TRUE(engine_->gates().Remove(installed->name).ok());
    EXPECT_TRUE(engine_->gates().SetRouting({a, b, 0.5}).ok());
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(PagesAreFree());
}

TEST_P(LlamaEngineGatesTest, TheFileOfTheOptionsIsStableFromTheStart) {
  const std::string path = Write(1);
  engine_.reset();
  options_.gate_set_file = path;
  options_.gate_slots = 1;
  Start();
  const std::vector<GateSetInfo> sets = engine_->gate_sets();
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_TRUE(sets[1].stable);
  EXPECT_EQ(engine_->gates().routing().stable, sets[1].name);
  EXPECT_EQ(GateOf(*Begin(GreedyRequest(1000, 1))), sets[1].name);
  options_.gate_slots = 0;
  EXPECT_EQ(options_.Validate().code(), absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Devices, LlamaEngineGatesTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
