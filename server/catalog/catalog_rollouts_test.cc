#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "base/fault_point.h"
#include "engine/errors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/catalog/catalog.h"
#include "tests/testing/server/temporary_catalog.h"

namespace seer {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kNow = TestTime();

std::function<void()> while_reading;

int CallOnceWhileReading(const char* point) {
  if (while_reading != nullptr && std::strcmp(point, "blob.read") == 0) {
    std::exchange(while_reading, nullptr)();
  }
  return 0;
}

class RolloutsTest : public testing::Test {
 protected:
  RolloutsTest() {
    a_ = catalog_.AddGateSet("gate a");
    b_ = catalog_.AddGateSet("gate b");
  }

  absl::StatusOr<Rollout> Update(RolloutChange change) {
    if (change.etag.empty()) change.etag = Current().etag;
    return catalog_->UpdateRollout("m", change, kNow);
  }
  absl::StatusOr<Rollout> MakeStable(const std::string& id) {
    RolloutChange change;
    change.stable = id;
    return Update(change);
  }
  Rollout Current() { return catalog_->GetRollout("m").value(); }

  TemporaryCatalog catalog_;
  std::string a_;
  std::string b_;
};

TEST_F(RolloutsTest, CanaryPromotionRollback) {
  EXPECT_THAT(Current().stable, IsEmpty());
  EXPECT_EQ(Current().update_time, absl::InfinitePast());
  ASSERT_TRUE(MakeStable(a_).ok());
  RolloutChange canary;
  canary.canary = b_;
  canary.canary_fraction = 0.25;
  Rollout rollout = Update(canary).value();
  EXPECT_EQ(rollout.stable, a_);
  EXPECT_EQ(rollout.canary, b_);
  EXPECT_EQ(rollout.canary_fraction, 0.25);

  RolloutChange promote;
  promote.stable = b_;
  promote.canary = "";
  rollout = Update(promote).value();
  EXPECT_EQ(rollout.stable, b_);
  EXPECT_EQ(rollout.previous, a_);
  EXPECT_EQ(rollout.canary_fraction, 0);

  catalog_.Reopen();
  EXPECT_EQ(Current().stable, b_);
  EXPECT_EQ(Current().etag, rollout.etag);
  EXPECT_EQ(Current().update_time, kNow);
  rollout = catalog_->RollBack("m", "", false, kNow).value();
  EXPECT_EQ(rollout.stable, a_);
  EXPECT_EQ(rollout.previous, b_);

  const auto history = catalog_->ListRolloutRevisions("m", {10, ""}).value();
  ASSERT_THAT(history.items, SizeIs(4));
  EXPECT_EQ(history.items[0].cause, RolloutCause::kRollback);
  EXPECT_EQ(history.items[0].rollout.stable, a_);
  EXPECT_EQ(history.items[2].rollout.canary_fraction, 0.25);
  EXPECT_THAT(catalog_->ListRolloutRevisions("other", {10, ""}).value().items,
              IsEmpty());
}

TEST_F(RolloutsTest, RollbackOfACanaryKeepsStable) {
  ASSERT_TRUE(MakeStable(b_).ok());
  ASSERT_TRUE(MakeStable(a_).ok());
  RolloutChange canary;
  canary.canary = b_;
  canary.canary_fraction = 0.25;
  ASSERT_TRUE(Update(canary).ok());
  Rollout rollout = catalog_->RollBack("m", "", false, kNow).value();
  EXPECT_EQ(rollout.stable, a_);
  EXPECT_EQ(rollout.previous, b_);
  EXPECT_THAT(rollout.canary, IsEmpty());
  EXPECT_EQ(rollout.canary_fraction, 0);
  rollout = catalog_->RollBack("m", "", false, kNow).value();
  EXPECT_EQ(rollout.stable, b_);
  EXPECT_EQ(rollout.previous, a_);
}

TEST_F(RolloutsTest, RollbackOfACanaryBeforeAnyStable) {
  RolloutChange canary;
  canary.canary = b_;
  ASSERT_TRUE(Update(canary).ok());
  EXPECT_THAT(catalog_->RollBack("m", "", false, kNow).value().canary,
              IsEmpty());
  EXPECT_EQ(ReasonTextOf(catalog_->RollBack("m", "", false, kNow).status()),
            "NOTHING_TO_ROLL_BACK");
}

TEST_F(RolloutsTest, OfTwoActivationsAtOnceOneWins) {
  RolloutChange first;
  first.etag = Current().etag;
  first.stable = a_;
  RolloutChange second = first;
  second.stable = b_;
  ASSERT_TRUE(Update(first).ok());
  const absl::Status late = Update(second).status();
  EXPECT_EQ(late.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonTextOf(late), "ETAG_MISMATCH");
  EXPECT_EQ(
      ReasonTextOf(catalog_->RollBack("m", first.etag, false, kNow).status()),
      "ETAG_MISMATCH");
  EXPECT_EQ(Current().stable, a_);
  RolloutChange blind;
  EXPECT_EQ(FieldOf(catalog_->UpdateRollout("m", blind, kNow).status()),
            "etag");
}

TEST_F(RolloutsTest, RefusesWhatMakesNoSense) {
  ASSERT_TRUE(MakeStable(a_).ok());
  RolloutChange change;
  change.canary_fraction = 0.5;
  EXPECT_EQ(FieldOf(Update(change).status()), "canary_fraction");
  change.canary = b_;
  for (double fraction :
       {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    change.canary_fraction = fraction;
    EXPECT_EQ(FieldOf(Update(change).status()), "canary_fraction");
  }
  change.canary_fraction = 0.5;
  change.canary = a_;
  EXPECT_EQ(FieldOf(Update(change).status()), "canary");
  EXPECT_EQ(MakeStable("sha256-0").status().code(),
            absl::StatusCode::kNotFound);
  RolloutChange other_model;
  other_model.stable = b_;
  other_model.etag = catalog_->GetRollout("other").value().etag;
  EXPECT_EQ(catalog_->UpdateRollout("other", other_model, kNow).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonTextOf(catalog_->RollBack("other", "", false, kNow).status()),
            "NOTHING_TO_ROLL_BACK");
}

TEST_F(RolloutsTest, ChecksAndNoChangesWriteNothing) {
  RolloutChange check;
  check.stable = a_;
  check.validate_only = true;
  EXPECT_EQ(Update(check).value().stable, a_);
  EXPECT_THAT(Current().stable, IsEmpty());
  const std::string etag = MakeStable(a_).value().etag;
  EXPECT_EQ(MakeStable(a_).value().etag, etag);
  EXPECT_THAT(catalog_->RollBack("m", etag, true, kNow).value().stable,
              IsEmpty());
  EXPECT_EQ(Current().stable, a_);
}

TEST_F(RolloutsTest, GateSetsInUseStay) {
  ASSERT_TRUE(MakeStable(a_).ok());
  ASSERT_TRUE(MakeStable(b_).ok());
  EXPECT_EQ(ReasonTextOf(catalog_->DeleteGateSet(a_)), "IN_USE");  // previous
  EXPECT_EQ(ReasonTextOf(catalog_->DeleteGateSet(b_)), "IN_USE");
  const std::string c = catalog_.AddGateSet("gate c");
  RolloutChange canary;
  canary.canary = c;
  ASSERT_TRUE(Update(canary).ok());
  EXPECT_EQ(ReasonTextOf(catalog_->DeleteGateSet(c)), "IN_USE");
  ASSERT_TRUE(MakeStable("").ok());
  EXPECT_TRUE(catalog_->DeleteGateSet(a_).ok());
  EXPECT_EQ(catalog_->GetGateSet(a_).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(RolloutsTest, ADamagedGateSetIsSeenAndFallsBack) {
  ASSERT_TRUE(MakeStable(a_).ok());
  ASSERT_TRUE(MakeStable(b_).ok());
  EXPECT_TRUE(catalog_->VerifyGateSet(b_).ok());
  const std::string path = catalog_->GetGateSet(b_).value().path;
  std::ofstream(path, std::ios::binary) << "gate ?";
  EXPECT_EQ(ReasonTextOf(catalog_->VerifyGateSet(b_)), "DAMAGED");
  EXPECT_EQ(catalog_->GetGateSet(b_).value().damage->reason, "WRONG_DIGEST");

  const Rollout rollout =
      catalog_->FallBack("m", {b_}, "its digest is wrong", kNow).value();
  EXPECT_EQ(rollout.stable, a_);
  EXPECT_THAT(rollout.previous, IsEmpty());
  EXPECT_EQ(ReasonTextOf(MakeStable(b_).status()), "DAMAGED");
  const auto history = catalog_->ListRolloutRevisions("m", {1, ""}).value();
  EXPECT_EQ(history.items[0].cause, RolloutCause::kFallback);
  EXPECT_EQ(history.items[0].message, "its digest is wrong");

  // The same file again mends it.
  EXPECT_EQ(catalog_.AddGateSet("gate b"), b_);
  EXPECT_TRUE(catalog_->VerifyGateSet(b_).ok());
  EXPECT_TRUE(MakeStable(b_).ok());
}

TEST_F(RolloutsTest, AGateSetThatIsMendedWhileItIsVerified) {
  const std::string path = catalog_->GetGateSet(a_).value().path;
  std::ofstream(path, std::ios::binary) << "gate ?";
  const GateSetRecord damaged = catalog_->GetGateSet(a_).value();
  catalog_->MarkGateSetDamaged(damaged, {"INVALID", "it does not load"});
  EXPECT_EQ(catalog_->GetGateSet(a_).value().damage->reason, "INVALID");
  while_reading = [this] { EXPECT_EQ(catalog_.AddGateSet("gate a"), a_); };
  SetFaultHook(&CallOnceWhileReading);
  EXPECT_TRUE(catalog_->VerifyGateSet(a_).ok());
  SetFaultHook(nullptr);
  EXPECT_EQ(while_reading, nullptr);
  // What is known of the file before says nothing of this one.
  catalog_->MarkGateSetDamaged(damaged, {"INVALID", "it does not load"});
  EXPECT_FALSE(catalog_->GetGateSet(a_).value().damage.has_value());
}

TEST_F(RolloutsTest, AGateSetThatGoesWhileItIsVerified) {
  while_reading = [this] { EXPECT_TRUE(catalog_->DeleteGateSet(a_).ok()); };
  SetFaultHook(&CallOnceWhileReading);
  EXPECT_EQ(catalog_->VerifyGateSet(a_).code(), absl::StatusCode::kNotFound);
  SetFaultHook(nullptr);
}

TEST_F(RolloutsTest, AMissingFileIsReportedAtTheStart) {
  const std::string path = catalog_->GetGateSet(a_).value().path;
  catalog_.Close();
  std::filesystem::remove(path);
  catalog_.Reopen();
  EXPECT_EQ(catalog_->recovery().damaged.at("gateSets/" + a_).reason,
            "MISSING");
  EXPECT_EQ(catalog_->GetGateSet(a_).value().damage->reason, "MISSING");
  EXPECT_EQ(ReasonTextOf(MakeStable(a_).status()), "DAMAGED");
  EXPECT_TRUE(MakeStable(b_).ok());
  EXPECT_TRUE(catalog_->DeleteGateSet(a_).ok());
}

TEST_F(RolloutsTest, TheSameFileIsTheSameGateSet) {
  EXPECT_EQ(catalog_.AddGateSet("gate a"), a_);
  EXPECT_THAT(catalog_->ListGateSets("m", {10, ""}).value().items, SizeIs(2));
  const std::filesystem::directory_iterator files(catalog_.blobs());
  EXPECT_EQ(std::distance(begin(files), end(files)), 2);
}

TEST(WithoutUnusableTest, TakesThePreviousOrNone) {
  Rollout rollout;
  rollout.stable = "s";
  rollout.previous = "p";
  rollout.canary = "c";
  rollout.canary_fraction = 0.5;
  EXPECT_EQ(WithoutUnusable(rollout, {}).stable, "s");
  EXPECT_EQ(WithoutUnusable(rollout, {"s"}).stable, "p");
  EXPECT_EQ(WithoutUnusable(rollout, {"s"}).canary_fraction, 0.5);
  EXPECT_THAT(WithoutUnusable(rollout, {"s", "p"}).stable, IsEmpty());
  EXPECT_THAT(WithoutUnusable(rollout, {"c"}).canary, IsEmpty());
  EXPECT_EQ(WithoutUnusable(rollout, {"c"}).canary_fraction, 0);
}

}  // namespace
}  // namespace seer
