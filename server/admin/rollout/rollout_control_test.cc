#include "server/admin/rollout/rollout_control.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/fault_point.h"
#include "base/logging.h"
#include "engine/errors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/admin/rollout/yielding_gates.h"
#include "tests/testing/engine/fakes/fake_gate_control.h"
#include "tests/testing/server/temporary_catalog.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

const absl::Time kNow = TestTime();

int FailRolloutWrites(const char* point) {
  return std::strcmp(point, "rollout.write") == 0 ? ENOSPC : 0;
}
int FailReads(const char* point) {
  return std::strcmp(point, "blob.read") == 0 ? EIO : 0;
}

int reads_to_fail = 0;
int FailFirstReads(const char* point) {
  const bool is_read = std::strcmp(point, "blob.read") == 0;
  return is_read && --reads_to_fail >= 0 ? EIO : 0;
}

class RolloutControlTest : public testing::Test {
 protected:
  ~RolloutControlTest() override { SetFaultHook(nullptr); }

  // As a server starts: engine and control are new, the catalog is as it was.
  absl::Status Start(size_t num_slots = 8) {
    control_.reset();
    catalog_.Reopen();
    gates_ = std::make_unique<FakeGateControl>(num_slots);
    if (!flag_file_.empty()) {
      GateRouting routing;
      routing.stable = gates_->Install(flag_file_).value().name;
      EXPECT_TRUE(gates_->SetRouting(routing).ok());
      gates_->TakeCalls();
    }
    control_ = std::make_unique<RolloutControl>(&*catalog_, gates_.get(),
                                                &metrics_, "m", flag_file_);
    return control_->Restore(kNow);
  }
  absl::StatusOr<Rollout> Set(const std::string& stable,
                              const std::string& canary = "",
                              double fraction = 0) {
    RolloutChange change;
    change.stable = stable;
    change.canary = canary;
    change.canary_fraction = fraction;
    change.etag = Now().etag;
    return control_->Update(change, kNow);
  }
  Rollout Now() { return catalog_->GetRollout("m").value(); }
  void Overwrite(const std::string& id, absl::string_view content) {
    const std::string path = catalog_->GetGateSet(id).value().path;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  static std::string Name(const std::string& id) {
    return "models/m/gateSets/" + id;
  }
  std::vector<std::string> Installed() { return gates_->installed(); }
  // Changes of the rollout that were counted as done.
  double NumActivations() {
    for (const auto& family : metrics_.registry().Collect()) {
      if (family.name != "seer_gate_activations_total") continue;
      for (const auto& metric : family.metric) {
        for (const auto& label : metric.label) {
          if (label.value == "ok") return metric.counter.value;
        }
      }
    }
    return -1;
  }

  TemporaryCatalog catalog_;
  const std::string a_ = catalog_.AddGateSet("gate a");
  const std::string b_ = catalog_.AddGateSet("gate b");
  const std::string c_ = catalog_.AddGateSet("gate c");
  const std::string wrong_ = catalog_.AddGateSet("wrong");
  std::string flag_file_;
  AdminMetrics metrics_{"m"};
  std::unique_ptr<FakeGateControl> gates_;
  std::unique_ptr<RolloutControl> control_;
};

TEST_F(RolloutControlTest, ACatalogOfOtherModelsOnlyIsLoggedAsAnError) {
  std::string log;
  SetLogSink(
      [&log](absl::string_view line) { absl::StrAppend(&log, line, "\n"); });
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(log, Not(HasSubstr("\"level\":\"error\"")));
  RolloutControl renamed(&*catalog_, gates_.get(), &metrics_, "n", "");
  EXPECT_TRUE(renamed.Restore(kNow).ok());
  SetLogSink(nullptr);
  EXPECT_THAT(log, HasSubstr("\"level\":\"error\""));
  EXPECT_THAT(log, HasSubstr("\"model_id\":\"n\",\"kept_for\":\"m\""));
}

TEST_F(RolloutControlTest, InstallsThenWritesThenRoutes) {
  ASSERT_TRUE(Start().ok());
  gates_->OnRoute([&](const GateRouting& routing) {
    EXPECT_EQ(routing.stable, Name(Now().stable)) << "not yet written down";
    return absl::OkStatus();
  });
  ASSERT_TRUE(Set(a_).ok());
  EXPECT_THAT(gates_->TakeCalls(),
              ElementsAre("route   0", "route   0", "install " + a_,
                          "route " + a_ + "  0"));
  ASSERT_TRUE(Set(a_, b_, 0.25).ok());
  EXPECT_THAT(gates_->TakeCalls(),
              ElementsAre("install " + b_, "route " + a_ + " " + b_ + " 0.25"));
  // Promotion. What was stable stays, for a rollback at once.
  ASSERT_TRUE(Set(b_).ok());
  EXPECT_THAT(gates_->TakeCalls(), ElementsAre("route " + b_ + "  0"));
  EXPECT_THAT(Installed(), UnorderedElementsAre(Name(a_), Name(b_)));
  ASSERT_TRUE(Set(c_).ok());
  EXPECT_THAT(
      gates_->TakeCalls(),
      ElementsAre("install " + c_, "route " + c_ + "  0", "remove " + a_));
  EXPECT_EQ(control_->previous().name, Name(b_));
  EXPECT_EQ(control_->previous().sha256, DigestOf("gate b"));
}

TEST_F(RolloutControlTest, RollsBackAndForth) {
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(ReasonTextOf(control_->RollBack("", false, kNow).status()),
            "NOTHING_TO_ROLL_BACK");
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(b_).ok());
  ASSERT_TRUE(Set(b_, c_, 1).ok());
  gates_->TakeCalls();
  EXPECT_EQ(control_->RollBack("", true, kNow).value().canary, "");
  EXPECT_THAT(gates_->TakeCalls(), IsEmpty());
  ASSERT_TRUE(control_->RollBack("", false, kNow).ok());  // ends the canary
  EXPECT_EQ(gates_->routing().stable, Name(b_));
  EXPECT_EQ(gates_->routing().canary, "");
  ASSERT_TRUE(control_->RollBack("", false, kNow).ok());
  EXPECT_EQ(gates_->routing().stable, Name(a_));
  ASSERT_TRUE(control_->RollBack("", false, kNow).ok());
  EXPECT_EQ(gates_->routing().stable, Name(b_));
  EXPECT_THAT(gates_->TakeCalls(), Not(testing::Contains("install " + a_)));
}

TEST_F(RolloutControlTest, ARollbackReadsNoFileOfWhatIsInstalled) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(b_).ok());
  // Nor does a job take the previous set away that comes to the same one.
  YieldingGates gates(gates_.get(), control_.get());
  ASSERT_TRUE(gates.Install(catalog_->GetGateSet(a_).value().path).ok());
  ASSERT_TRUE(gates.Remove(Name(a_)).ok());
  SetLogSink([](absl::string_view) {});
  SetFaultHook(&FailReads);
  EXPECT_TRUE(control_->RollBack("", true, kNow).ok());
  EXPECT_TRUE(control_->RollBack("", false, kNow).ok());
  EXPECT_EQ(gates_->routing().stable, Name(a_));
  EXPECT_EQ(ReasonTextOf(Set(b_).status()), "DAMAGED") << "not a rollback";
  SetFaultHook(nullptr);
  SetLogSink({});
}

TEST_F(RolloutControlTest, AnUpdateThatChangesNothingIsNone) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Set(a_).ok());
  EXPECT_EQ(NumActivations(), 1);
  std::string log;
  SetLogSink([&](absl::string_view line) { absl::StrAppend(&log, line); });
  ASSERT_TRUE(Set(a_).ok());
  SetLogSink({});
  EXPECT_EQ(log, "");
  EXPECT_EQ(NumActivations(), 1);
}

TEST_F(RolloutControlTest, AGateSetThatIsNotUsableChangesNothing) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Set(a_).ok());
  const std::string other = catalog_.AddGateSet("other");
  Overwrite(b_, "gate x");
  const std::string etag = Now().etag;
  for (const auto& [id, reason] :
       {std::pair<std::string, const char*>{wrong_, "GATE_SET_INVALID"},
        {other, "GATE_SET_INVALID"},
        {b_, "DAMAGED"}}) {
    const absl::Status refused = Set(id).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_EQ(ReasonTextOf(refused), reason) << refused;
    EXPECT_THAT(std::string(refused.message()), Not(HasSubstr("/")))
        << "a path of the server";
    EXPECT_TRUE(absl::IsFailedPrecondition(Set(a_, id, 0.5).status()));
  }
  SetFaultHook(&FailReads);
  EXPECT_EQ(ReasonTextOf(Set(c_).status()), "DAMAGED");
  SetFaultHook(nullptr);
  EXPECT_EQ(Now().etag, etag);
  EXPECT_EQ(gates_->routing().stable, Name(a_));
  EXPECT_THAT(Installed(), ElementsAre(Name(a_)));
  EXPECT_EQ(catalog_->GetGateSet(wrong_).value().damage->reason, "INVALID");
  EXPECT_FALSE(catalog_->GetGateSet(other).value().damage.has_value());
}

TEST_F(RolloutControlTest, ACheckLoadsNothing) {
  ASSERT_TRUE(Start().ok());
  gates_->TakeCalls();
  RolloutChange change;
  change.stable = a_;
  change.etag = Now().etag;
  change.validate_only = true;
  EXPECT_EQ(control_->Update(change, kNow).value().stable, a_);
  change.canary = wrong_;
  EXPECT_EQ(ReasonTextOf(control_->Update(change, kNow).status()),
            "GATE_SET_INVALID");
  EXPECT_THAT(gates_->TakeCalls(), IsEmpty());
  EXPECT_EQ(Now().stable, "");
}

TEST_F(RolloutControlTest, AFullDeviceGivesUpThePreviousSetFirst) {
  ASSERT_TRUE(Start(/*num_slots=*/2).ok());
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(b_).ok());
  ASSERT_TRUE(Set(b_, c_, 0.5).ok());
  EXPECT_THAT(Installed(), UnorderedElementsAre(Name(b_), Name(c_)));
  // Both are routed to.
  const std::string etag = Now().etag;
  EXPECT_EQ(ReasonTextOf(Set(a_, c_, 0.5).status()), "GATE_SLOTS");
  EXPECT_EQ(Now().etag, etag);
  EXPECT_EQ(gates_->routing().stable, Name(b_));
  // A rollback finds the previous set in its file.
  ASSERT_TRUE(control_->RollBack("", false, kNow).ok());
  ASSERT_TRUE(control_->RollBack("", false, kNow).ok());
  EXPECT_EQ(gates_->routing().stable, Name(a_));
}

TEST_F(RolloutControlTest, OthersAreGivenTheRoomThatNobodyNeeds) {
  ASSERT_TRUE(Start(/*num_slots=*/2).ok());
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(b_).ok());
  YieldingGates gates(gates_.get(), control_.get());
  EXPECT_TRUE(gates.Install(catalog_->GetGateSet(c_).value().path).ok());
  EXPECT_THAT(Installed(), UnorderedElementsAre(Name(b_), Name(c_)));
  EXPECT_TRUE(absl::IsResourceExhausted(
      gates.Install(catalog_->GetGateSet(a_).value().path).status()));
  EXPECT_TRUE(gates.Remove(Name(c_)).ok());
  ASSERT_TRUE(control_->RollBack("", false, kNow).ok());
  EXPECT_EQ(gates_->routing().stable, Name(a_));
}

TEST_F(RolloutControlTest, WhatCannotBeWrittenIsNotServed) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Set(a_).ok());
  SetFaultHook(&FailRolloutWrites);
  EXPECT_EQ(ReasonTextOf(Set(b_, c_, 0.5).status()), "DISK_FULL");
  EXPECT_EQ(gates_->routing().stable, Name(a_));
  EXPECT_THAT(Installed(), ElementsAre(Name(a_)));
  SetFaultHook(nullptr);
  EXPECT_TRUE(Set(b_, c_, 0.5).ok());
}

TEST_F(RolloutControlTest, AnEngineThatDoesNotFollowIsToldAgain) {
  ASSERT_TRUE(Start().ok());
  gates_->OnRoute([](const GateRouting&) {
    return absl::UnavailableError("the engine is busy");
  });
  EXPECT_TRUE(absl::IsInternal(Set(a_).status()));
  EXPECT_EQ(gates_->routing().stable, "");
  gates_->OnRoute(nullptr);
  control_->Reconcile();
  EXPECT_EQ(Now().stable, a_);
  EXPECT_EQ(gates_->routing().stable, Name(a_));
}

TEST_F(RolloutControlTest, OfTwoActivationsAtOnceOneWins) {
  ASSERT_TRUE(Start().ok());
  const std::string etag = Now().etag;
  std::vector<absl::Status> results(2);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      RolloutChange change;
      change.stable = i == 0 ? a_ : b_;
      change.etag = etag;
      results[i] = control_->Update(change, kNow).status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_NE(results[0].ok(), results[1].ok());
  EXPECT_EQ(ReasonTextOf(results[results[0].ok() ? 1 : 0]), "ETAG_MISMATCH");
  EXPECT_EQ(gates_->routing().stable, Name(results[0].ok() ? a_ : b_));
  EXPECT_EQ(gates_->routing().stable, Name(Now().stable));
}

TEST_F(RolloutControlTest, AStartRestoresTheRollout) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(b_, c_, 0.25).ok());
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(gates_->routing().stable, Name(b_));
  EXPECT_EQ(gates_->routing().canary, Name(c_));
  EXPECT_EQ(gates_->routing().canary_fraction, 0.25);
  EXPECT_THAT(Installed(), UnorderedElementsAre(Name(a_), Name(b_), Name(c_)));
  // The previous one is not missed where there is no room.
  ASSERT_TRUE(Start(/*num_slots=*/2).ok());
  EXPECT_EQ(gates_->routing().stable, Name(b_));
  EXPECT_EQ(Now().previous, a_);
  // The others are: the operator's numbers do not fit together.
  EXPECT_TRUE(absl::IsResourceExhausted(Start(/*num_slots=*/1)));
  EXPECT_EQ(Now().stable, b_);
}

TEST_F(RolloutControlTest, AStartFallsBackLoudly) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(b_, c_, 0.25).ok());
  Overwrite(b_, "gate x");
  Overwrite(c_, "gate y");
  std::string log;
  SetLogSink(
      [&](absl::string_view line) { absl::StrAppend(&log, line, "\n"); });
  SetFaultHook(&FailRolloutWrites);
  EXPECT_TRUE(Start().ok());
  SetFaultHook(nullptr);
  // Not written down, and served all the same.
  EXPECT_EQ(Now().stable, b_);
  EXPECT_EQ(gates_->routing().stable, Name(a_));
  EXPECT_EQ(gates_->routing().canary, "");
  EXPECT_THAT(log, HasSubstr("\"level\":\"error\""));
  EXPECT_TRUE(Start().ok());
  SetLogSink({});
  EXPECT_EQ(Now().stable, a_);
  EXPECT_EQ(Now().canary, "");
  EXPECT_EQ(gates_->routing().stable, Name(a_));
  const auto revisions = catalog_->ListRolloutRevisions("m", {});
  EXPECT_EQ(revisions.value().items[0].cause, RolloutCause::kFallback);
  EXPECT_THAT(revisions.value().items[0].message, HasSubstr(b_));
}

TEST_F(RolloutControlTest, WhatAStartCannotReadStaysInTheRollout) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(b_, c_, 0.25).ok());
  const std::string etag = Now().etag;
  SetLogSink([](absl::string_view) {});
  SetFaultHook(&FailFirstReads);
  reads_to_fail = 1;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(gates_->routing().stable, Name(a_));
  EXPECT_EQ(gates_->routing().canary, Name(c_));
  EXPECT_EQ(Now().stable, b_);
  EXPECT_EQ(Now().etag, etag);
  // Readable again, it serves once it is asked for.
  ASSERT_TRUE(Set(b_, c_, 0.25).ok());
  EXPECT_EQ(gates_->routing().stable, Name(b_));
  reads_to_fail = 3;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(gates_->routing().stable, "");
  SetFaultHook(nullptr);
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(gates_->routing().stable, Name(b_));
  EXPECT_EQ(gates_->routing().canary, Name(c_));
  EXPECT_EQ(Now().etag, etag);
  // So does what fits another model, but not what fits none.
  for (const auto& [id, stays] :
       {std::pair<std::string, bool>{catalog_.AddGateSet("other"), true},
        {wrong_, false}}) {
    RolloutChange change;
    change.stable = id;
    change.etag = Now().etag;
    ASSERT_TRUE(catalog_->UpdateRollout("m", change, kNow).ok());
    ASSERT_TRUE(Start().ok());
    EXPECT_EQ(Now().stable == id, stays);
    EXPECT_NE(gates_->routing().stable, Name(id));
  }
  SetLogSink({});
}

TEST_F(RolloutControlTest, ARollbackOfTheCanaryNeedsNoStableSetOnTheDisk) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(b_, c_, 0.25).ok());
  SetLogSink([](absl::string_view) {});
  SetFaultHook(&FailFirstReads);
  reads_to_fail = 1;
  ASSERT_TRUE(Start().ok());
  reads_to_fail = 100;
  const auto rolled_back = control_->RollBack("", false, kNow);
  EXPECT_TRUE(rolled_back.ok()) << rolled_back.status();
  EXPECT_EQ(gates_->routing().stable, Name(a_));
  EXPECT_EQ(gates_->routing().canary, "");
  EXPECT_EQ(Now().stable, b_);
  EXPECT_EQ(Now().canary, "");
  // Who asks for the set itself is told.
  EXPECT_FALSE(Set(b_).ok());
  SetFaultHook(nullptr);
  EXPECT_TRUE(Set(b_).ok());
  EXPECT_EQ(gates_->routing().stable, Name(b_));
  SetLogSink({});
}

TEST_F(RolloutControlTest, TheFlagsGateSetServesWhileTheCatalogHasNone) {
  flag_file_ = catalog_->GetGateSet(c_).value().path;
  ASSERT_TRUE(Start(/*num_slots=*/2).ok());
  EXPECT_EQ(gates_->routing().stable, Name(c_));
  const absl::Status twice = Set("", c_, 0.5).status();
  EXPECT_TRUE(absl::IsInvalidArgument(twice)) << twice;
  EXPECT_EQ(FieldOf(twice), "canary");
  ASSERT_TRUE(Set("", a_, 0.5).ok());
  EXPECT_EQ(gates_->routing().stable, Name(c_));
  // It makes room for others, and comes back from its file.
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(b_).ok());
  EXPECT_THAT(Installed(), UnorderedElementsAre(Name(a_), Name(b_)));
  ASSERT_TRUE(Set("").ok());
  EXPECT_EQ(gates_->routing().stable, Name(c_));
  EXPECT_EQ(ReasonTextOf(Set(a_, b_, 0.5).status()), "GATE_SLOTS");
  ASSERT_TRUE(Set(a_).ok());
  ASSERT_TRUE(Set(a_, b_, 0.5).ok());
  std::string log;
  SetLogSink([&](absl::string_view line) { absl::StrAppend(&log, line); });
  ASSERT_TRUE(Start(/*num_slots=*/2).ok());
  SetLogSink({});
  EXPECT_THAT(log, HasSubstr("--gate_set is not used"));
  EXPECT_THAT(Installed(), UnorderedElementsAre(Name(a_), Name(b_)));
  Overwrite(a_, "gate x");
  Overwrite(b_, "gate y");
  SetLogSink([](absl::string_view) {});
  ASSERT_TRUE(Start(/*num_slots=*/1).ok());
  SetLogSink({});
  EXPECT_EQ(gates_->routing().stable, Name(c_));
}

}  // namespace
}  // namespace seer
