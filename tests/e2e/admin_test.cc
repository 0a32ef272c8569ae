// Administration of a real server: what is active survives kill -9 and its
// file's damage.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/e2e/administered_server.h"

namespace seer {
namespace {

TEST(AdminTest, WhatIsActiveSurvivesAKillAndTheDamageOfItsFile) {
  AdministeredServer server;
  server.Start();
  const std::string first = server.UploadGateSet(1);
  const std::string second = server.UploadGateSet(2);
  server.MakeStable(first);
  server.MakeStable(second);
  EXPECT_EQ(server.ReportOfARequest().gate(), second);
  server.Kill();

  server.Start();
  EXPECT_EQ(server.Rollout().stable(), second);
  EXPECT_EQ(server.ReportOfARequest().gate(), second);
  EXPECT_EQ(
      server.process().Metric(absl::StrCat("seer_gate_set_info{model=\"tiny\","
                                           "gate_set=\"",
                                           first, "\"")),
      1);
  server.Kill();

  for (const auto& blob :
       std::filesystem::directory_iterator(server.state_folder() + "/blobs")) {
    std::ifstream file(blob.path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    const std::string id = DigestOf(bytes.str()).substr(0, 12);
    if (!absl::StrContains(second, id)) continue;
    std::ofstream(blob.path(), std::ios::binary | std::ios::in) << "damage";
  }
  server.Start();
  EXPECT_EQ(server.ReportOfARequest().gate(), first);
  EXPECT_EQ(server.Rollout().stable(), first);
  EXPECT_TRUE(absl::StrContains(server.process().Log(), "cannot be served"));
  EXPECT_EQ(
      server.process().Metric("seer_gate_activations_total{model=\"tiny\","
                              "result=\"fallback\"}"),
      1);
}

TEST(AdminTest, ATerminationDoesNotWaitForAnUploadThatStalls) {
  AdministeredServer server;
  server.Start();
  grpc::ClientContext context;
  context.AddMetadata("authorization", absl::StrCat("Bearer ", server.token()));
  v1::Upload upload;
  auto writer = server.client().stub()->WriteUpload(&context, &upload);
  ServerProcess other(
      server.model_folder(),
      {"--state_dir=" + server.state_folder(), "--admin_port=0"});
  EXPECT_EQ(other.WaitForExit(), 7) << other.Log();
  server.process().Signal(15);
  EXPECT_EQ(server.process().WaitForExit(), 0) << server.process().Log();
  EXPECT_FALSE(writer->Finish().ok());
}

}  // namespace
}  // namespace seer
