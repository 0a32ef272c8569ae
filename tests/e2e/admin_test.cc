// Administration of a real server: a gate set comes in, serves, survives kill
// -9 and its file's damage.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/crc32c.h"
#include "base/sha256.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/seer/v1/gate_admin.grpc.pb.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/engine/tiny_gate_set.h"

namespace seer {
namespace {

constexpr char kToken[] = "a-token-of-the-test";
constexpr char kRollout[] = "models/tiny/gateRollout";

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class AdminTest : public testing::Test {
 protected:
  AdminTest() { std::ofstream(folder_ + "/token") << kToken << "\n"; }

  void Start(std::vector<std::string> flags = {}) {
    flags.insert(flags.end(),
                 {"--model_id=tiny", "--drain_seconds=2",
                  "--state_dir=" + folder_ + "/state", "--admin_port=0",
                  "--admin_port_file=" + folder_ + "/port",
                  "--admin_token_file=" + folder_ + "/token"});
    server_ = std::make_unique<ServerProcess>(model_, flags);
    ASSERT_TRUE(server_->WaitUntilServing()) << server_->Log();
    stub_ = v1::GateAdminService::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", std::stoi(Read(folder_ + "/port"))),
        grpc::InsecureChannelCredentials()));
  }

  struct Call {
    Call() {
      context.AddMetadata("authorization", absl::StrCat("Bearer ", kToken));
    }
    grpc::ClientContext context;
  };

  std::string UploadGateSet(uint64_t seed) {
    v1::GetModelRequest which;
    v1::Model model;
    grpc::ClientContext context;
    EXPECT_TRUE(server_->stub().GetModel(&context, which, &model).ok());
    TinyGateSetOptions options;
    options.fingerprint = model.fingerprint();
    options.seed = seed;
    const std::string path = folder_ + "/gate";
    EXPECT_TRUE(WriteTinyGateSet(path, options).ok());
    const std::string file = Read(path);
    v1::CreateUploadRequest create;
    create.mutable_upload()->set_kind(v1::UPLOAD_KIND_GATE_SET);
    create.mutable_upload()->set_format(v1::UPLOAD_FORMAT_SAFETENSORS);
    create.mutable_upload()->set_size(static_cast<int64_t>(file.size()));
    create.mutable_upload()->set_sha256(Sha256Hex(
        {reinterpret_cast<const uint8_t*>(file.data()), file.size()}));
    v1::Upload upload;
    Call created, written, finalized;
    EXPECT_TRUE(stub_->CreateUpload(&created.context, create, &upload).ok());
    v1::FinalizeUploadRequest finalize;
    finalize.set_name(upload.name());
    auto writer = stub_->WriteUpload(&written.context, &upload);
    for (size_t at = 0; at < file.size(); at += 65536) {
      v1::WriteUploadRequest chunk;
      chunk.set_upload(finalize.name());
      chunk.set_offset(static_cast<int64_t>(at));
      chunk.set_data(file.substr(at, 65536));
      chunk.set_crc32c(Crc32c(chunk.data()));
      writer->Write(chunk);
    }
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    v1::FinalizeUploadResponse response;
    const grpc::Status done =
        stub_->FinalizeUpload(&finalized.context, finalize, &response);
    EXPECT_TRUE(done.ok()) << done.error_message();
    return response.gate_set().name();
  }
  v1::GateRollout Rollout() {
    Call call;
    v1::GetGateRolloutRequest request;
    request.set_name(kRollout);
    v1::GateRollout rollout;
    EXPECT_TRUE(stub_->GetGateRollout(&call.context, request, &rollout).ok());
    return rollout;
  }
  void MakeStable(const std::string& gate_set) {
    Call call;
    v1::UpdateGateRolloutRequest request;
    *request.mutable_gate_rollout() = Rollout();
    request.mutable_gate_rollout()->set_stable(gate_set);
    request.mutable_update_mask()->add_paths("stable");
    v1::GateRollout rollout;
    const grpc::Status status =
        stub_->UpdateGateRollout(&call.context, request, &rollout);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  // The gate set that a sparse request was served with.
  std::string GateOfARequest() {
    v1::CompleteRequest request;
    for (int i = 0; i < 640; ++i) {
      request.mutable_token_ids()->add_ids(1 + i % 50);
    }
    request.set_max_tokens(1);
    request.mutable_sparsity()->set_target_sparsity(0.5);
    grpc::ClientContext context;
    v1::CompleteResult result;
    const grpc::Status status =
        server_->stub().CompleteOnce(&context, request, &result);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return result.summary().sparsity().effective().gate_set();
  }

  const std::string folder_ = NewFolder();
  const std::string model_ = NewModel();
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<v1::GateAdminService::Stub> stub_;
};

TEST_F(AdminTest, WhatIsActiveSurvivesAKillAndTheDamageOfItsFile) {
  Start();
  const std::string first = UploadGateSet(1);
  const std::string second = UploadGateSet(2);
  MakeStable(first);
  MakeStable(second);
  EXPECT_EQ(GateOfARequest(), second);
  server_->Signal(SIGKILL);
  server_->WaitForExit();

  Start();
  EXPECT_EQ(Rollout().stable(), second);
  EXPECT_EQ(GateOfARequest(), second);
  EXPECT_EQ(server_->Metric(absl::StrCat("seer_gate_set_info{model=\"tiny\","
                                         "gate_set=\"",
                                         first, "\"")),
            1);
  server_->Signal(SIGKILL);
  server_->WaitForExit();

  // The newest file of those that are whole is the second gate set's.
  for (const auto& blob :
       std::filesystem::directory_iterator(folder_ + "/state/blobs")) {
    const std::string file = Read(blob.path());
    const std::string digest =
        Sha256Hex({reinterpret_cast<const uint8_t*>(file.data()), file.size()});
    if (!absl::StrContains(second, digest.substr(0, 12))) continue;
    std::ofstream(blob.path(), std::ios::binary | std::ios::in) << "damage";
  }
  Start();
  EXPECT_EQ(GateOfARequest(), first);
  EXPECT_EQ(Rollout().stable(), first);
  EXPECT_TRUE(absl::StrContains(server_->Log(), "cannot be served"));
  EXPECT_EQ(server_->Metric("seer_gate_activations_total{model=\"tiny\","
                            "result=\"fallback\"}"),
            1);
}

TEST_F(AdminTest, ATerminationDoesNotWaitForAnUploadThatStalls) {
  Start();
  Call call;
  v1::Upload upload;
  auto writer = stub_->WriteUpload(&call.context, &upload);
  ServerProcess other(model_,
                      {"--state_dir=" + folder_ + "/state", "--admin_port=0"});
  EXPECT_EQ(other.WaitForExit(), 7) << other.Log();
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->WaitForExit(), 0) << server_->Log();
  EXPECT_FALSE(writer->Finish().ok());
}

}  // namespace
}  // namespace seer
