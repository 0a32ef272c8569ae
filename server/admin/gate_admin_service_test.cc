// Who may call, how many at once, and which calls wait for no other.
#include "server/admin/gate_admin_service.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/fault_point.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/testing/server/in_process_gate_admin.h"
#include "tests/testing/server/status_details.h"

namespace seer {
namespace {

// While it lives, reads of whole blobs wait until they are released. One at a
// time.
class ReadsThatHang {
 public:
  ReadsThatHang() {
    num_waiting_ = 0;
    released_ = false;
    SetFaultHook(&Hang);
  }
  ~ReadsThatHang() {
    Release();
    SetFaultHook(nullptr);
  }
  int num_waiting() const { return num_waiting_; }
  void Release() { released_ = true; }

 private:
  static int Hang(const char* point) {
    if (std::strcmp(point, "blob.read") != 0) return 0;
    ++num_waiting_;
    while (!released_) absl::SleepFor(absl::Milliseconds(1));
    return 0;
  }

  static inline std::atomic<int> num_waiting_{0};
  static inline std::atomic<bool> released_{false};
};

using GateAdminServiceTest = GateAdminTest;

TEST_F(GateAdminServiceTest, OnlyWhoMayCallsWhatItMay) {
  options_.access.token = "a-token-of-32-characters-or-more";
  options_.access.methods = {"ListUploads", "WriteUpload"};
  Start();
  const auto list = [&] {
    v1::ListUploadsResponse response;
    return Call(&Stub::ListUploads, v1::ListUploadsRequest(), &response);
  };
  const std::string right = options_.access.token;
  for (const std::string& token : {std::string(), right + "x", right.substr(1),
                                   std::string("b") + right.substr(1)}) {
    token_ = token;
    const grpc::Status status = list();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(status.error_message(), "unauthenticated");
  }
  v1::Upload upload;
  EXPECT_EQ(Write({}, &upload).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  token_ = right;
  EXPECT_TRUE(list().ok());
  EXPECT_EQ(Call(&Stub::CreateUpload, Describe("a"), &upload).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  options_.access.methods = {"ListUploads", "NoSuch"};
  EXPECT_TRUE(absl::IsInvalidArgument(options_.Validate()));
  options_.access.methods.clear();
  options_.access.token = "short";
  EXPECT_TRUE(absl::IsInvalidArgument(options_.Validate()));
}

TEST_F(GateAdminServiceTest, CallsAreBounded) {
  Start();
  const std::string name = Create(Describe("hello world"));
  options_.max_calls = 1;
  Start();
  v1::Upload upload;
  grpc::ClientContext context;
  Writer writer = stub_->WriteUpload(&context, &upload);
  ASSERT_TRUE(writer->Write(Chunk(name, 0, "hello")));
  WaitUntil([&] { return UploadedBytes() == 5; });
  v1::ListUploadsResponse response;
  const grpc::Status refused =
      Call(&Stub::ListUploads, v1::ListUploadsRequest(), &response);
  EXPECT_EQ(Why(refused), "ADMIN_BUSY");
  EXPECT_TRUE(DetailOf<google::rpc::RetryInfo>(refused).has_value());
  // What an operator needs has places of its own.
  v1::RollbackGateRolloutRequest back;
  back.set_name("models/m/gateRollout");
  v1::GateRollout rollout;
  EXPECT_EQ(Why(Call(&Stub::RollbackGateRollout, back, &rollout)),
            "NOTHING_TO_ROLL_BACK");
  writer->WritesDone();
  EXPECT_TRUE(writer->Finish().ok());
}

TEST_F(GateAdminServiceTest, ARollbackWaitsForNoUpload) {
  Start();
  v1::UpdateGateRolloutRequest update;
  update.mutable_gate_rollout()->set_name("models/m/gateRollout");
  v1::GateRollout rollout;
  std::vector<std::string> gate_sets;
  for (const char* content : {"gate a", "gate b"}) {
    gate_sets.push_back(UploadGateSet(content));
    update.mutable_gate_rollout()->set_stable(gate_sets.back());
    update.mutable_gate_rollout()->set_etag(
        catalog_->GetRollout("m").value().etag);
    ASSERT_TRUE(Call(&Stub::UpdateGateRollout, update, &rollout).ok());
  }
  std::vector<std::string> uploads;
  for (int i = 0; i < 3; ++i) {
    uploads.push_back(Create(Describe("hello")));
    v1::Upload upload;
    ASSERT_TRUE(Write({Chunk(uploads.back(), 0, "hello")}, &upload).ok());
  }
  ReadsThatHang reads;
  std::vector<std::thread> finalizes;
  for (const std::string& name : uploads) {
    finalizes.emplace_back([this, name] {
      v1::FinalizeUploadResponse response;
      EXPECT_TRUE(Finalize(name, &response).ok());
    });
  }
  WaitUntil([&] { return reads.num_waiting() == 2; });
  v1::RollbackGateRolloutRequest back;
  back.set_name("models/m/gateRollout");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(20));
  const grpc::Status status =
      stub_->RollbackGateRollout(&context, back, &rollout);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(gates_.routing().stable, gate_sets[0]);
  reads.Release();
  for (std::thread& finalize : finalizes) finalize.join();
}

TEST_F(GateAdminServiceTest, JobsAreForAnotherToServe) {
  Start();
  v1::CalibrationJob job;
  v1::GetCalibrationJobRequest get;
  EXPECT_EQ(Call(&Stub::GetCalibrationJob, get, &job).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  grpc::ClientContext context;
  auto reader = stub_->WatchCalibrationJob(&context, {});
  EXPECT_FALSE(reader->Read(&job));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace seer
