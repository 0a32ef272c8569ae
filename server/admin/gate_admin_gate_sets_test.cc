// Gate sets, and the rollout that says which of them serve, over a real
// connection.
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/hash/crc32c.h"
#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/testing/server/in_process_gate_admin.h"

namespace seer {
namespace {

using ::testing::ElementsAre;

using GateAdminGateSetsTest = GateAdminTest;

TEST_F(GateAdminGateSetsTest, AGateSetComesInServesAndGoesOut) {
  Start();
  const std::string content(2 * kMiB + 5, 'g');
  const std::string first = UploadGateSet(content);
  const std::string second = UploadGateSet("gate b");

  v1::DownloadGateSetRequest wanted;
  wanted.set_name(first);
  grpc::ClientContext context;
  auto reader = stub_->DownloadGateSet(&context, wanted);
  std::string received;
  for (v1::DownloadGateSetResponse chunk; reader->Read(&chunk);) {
    EXPECT_EQ(chunk.offset(), static_cast<int64_t>(received.size()));
    EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
    EXPECT_LE(chunk.data().size(), kMiB);
    received += chunk.data();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(received == content);

  v1::GetGateRolloutRequest get;
  get.set_name("models/m/gateRollout");
  v1::GateRollout rollout;
  ASSERT_TRUE(Call(&Stub::GetGateRollout, get, &rollout).ok());
  v1::UpdateGateRolloutRequest update;
  *update.mutable_gate_rollout() = rollout;
  update.mutable_gate_rollout()->set_stable(first);
  ASSERT_TRUE(Call(&Stub::UpdateGateRollout, update, &rollout).ok());
  EXPECT_EQ(Why(Call(&Stub::UpdateGateRollout, update, &rollout)),
            "ETAG_MISMATCH");
  *update.mutable_gate_rollout() = rollout;
  update.mutable_gate_rollout()->set_stable("");  // not in the mask
  update.mutable_gate_rollout()->set_canary(second);
  update.mutable_gate_rollout()->set_canary_fraction(0.25);
  update.mutable_update_mask()->add_paths("canary");
  update.mutable_update_mask()->add_paths("canary_fraction");
  ASSERT_TRUE(Call(&Stub::UpdateGateRollout, update, &rollout).ok());
  EXPECT_EQ(gates_.routing().stable, first);
  EXPECT_EQ(gates_.routing().canary, second);
  EXPECT_EQ(gates_.routing().canary_fraction, 0.25);

  v1::ListGateSetsRequest list;
  list.set_parent("models/-");  // the one served
  v1::ListGateSetsResponse gate_sets;
  ASSERT_TRUE(Call(&Stub::ListGateSets, list, &gate_sets).ok());
  ASSERT_EQ(gate_sets.gate_sets_size(), 2);
  EXPECT_THAT(gate_sets.gate_sets(0).labels(),
              ElementsAre(v1::GATE_LABEL_CANARY));
  EXPECT_EQ(gate_sets.gate_sets(0).provenance().target(),
            v1::CALIBRATION_TARGET_MASS);
  EXPECT_EQ(gate_sets.gate_sets(0).provenance().steps(), 500);
  v1::DeleteGateSetRequest remove;
  remove.set_name(second);
  google::protobuf::Empty empty;
  EXPECT_EQ(Why(Call(&Stub::DeleteGateSet, remove, &empty)), "IN_USE");

  v1::RollbackGateRolloutRequest back;
  back.set_name("models/-/gateRollout");
  ASSERT_TRUE(Call(&Stub::RollbackGateRollout, back, &rollout).ok());
  EXPECT_EQ(rollout.name(), "models/m/gateRollout");
  EXPECT_EQ(rollout.canary(), "");
  EXPECT_EQ(gates_.routing().canary, "");
  remove.set_name("models/-/" + second.substr(second.find("gateSets/")));
  EXPECT_TRUE(Call(&Stub::DeleteGateSet, remove, &empty).ok());
  v1::ListGateRolloutRevisionsRequest history;
  history.set_name("models/m/gateRollout");
  v1::ListGateRolloutRevisionsResponse revisions;
  ASSERT_TRUE(Call(&Stub::ListGateRolloutRevisions, history, &revisions).ok());
  ASSERT_EQ(revisions.revisions_size(), 3);
  EXPECT_EQ(revisions.revisions(0).cause(), v1::GATE_ROLLOUT_CAUSE_ROLLBACK);
  EXPECT_EQ(revisions.revisions(1).gate_rollout().canary(), second);
}

TEST_F(GateAdminGateSetsTest, WrongRolloutsAreRefusedByTheField) {
  Start();
  struct Case {
    const char* why;
    std::function<void(v1::UpdateGateRolloutRequest&)> spoil;
  };
  for (const Case& wrong : std::vector<Case>{
           {"gate_rollout.name",
            [](auto& r) { r.mutable_gate_rollout()->set_name("models/m"); }},
           {"gate_rollout.etag",
            [](auto& r) { r.mutable_gate_rollout()->clear_etag(); }},
           {"gate_rollout.stable",
            [](auto& r) { r.mutable_gate_rollout()->set_stable("a"); }},
           {"gate_rollout.canary_fraction",
            [](auto& r) {
              r.mutable_gate_rollout()->set_canary_fraction(0.5);
            }},
           {"update_mask.paths[0]",
            [](auto& r) { r.mutable_update_mask()->add_paths("previous"); }},
       }) {
    SCOPED_TRACE(wrong.why);
    v1::UpdateGateRolloutRequest request;
    request.mutable_gate_rollout()->set_name("models/m/gateRollout");
    request.mutable_gate_rollout()->set_etag(
        catalog_->GetRollout("m").value().etag);
    wrong.spoil(request);
    v1::GateRollout rollout;
    EXPECT_EQ(Why(Call(&Stub::UpdateGateRollout, request, &rollout)),
              wrong.why);
  }
  v1::GetGateRolloutRequest other;
  other.set_name("models/other/gateRollout");
  v1::GateRollout rollout;
  EXPECT_EQ(Call(&Stub::GetGateRollout, other, &rollout).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(GateAdminGateSetsTest, ADamagedGateSetSaysSo) {
  Start();
  const std::string name = UploadGateSet("gate a");
  v1::ValidateGateSetRequest request;
  request.set_name(name);
  v1::ValidateGateSetResponse response;
  ASSERT_TRUE(Call(&Stub::ValidateGateSet, request, &response).ok());
  EXPECT_TRUE(response.valid());
  const std::string id = name.substr(name.rfind('/') + 1);
  std::ofstream(catalog_->GetGateSet(id).value().path, std::ios::trunc)
      << "gate x";
  v1::DownloadGateSetRequest wanted;
  wanted.set_name(name);
  grpc::ClientContext context;
  auto reader = stub_->DownloadGateSet(&context, wanted);
  v1::DownloadGateSetResponse chunk;
  while (reader->Read(&chunk)) {
  }
  EXPECT_EQ(Why(reader->Finish()), "DAMAGED");
  ASSERT_TRUE(Call(&Stub::ValidateGateSet, request, &response).ok());
  EXPECT_FALSE(response.valid());
  EXPECT_EQ(response.problem().reason(), "WRONG_DIGEST");
}

}  // namespace
}  // namespace seer
