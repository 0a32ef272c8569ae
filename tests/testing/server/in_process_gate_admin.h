#ifndef SEER_TESTS_TESTING_SERVER_IN_PROCESS_GATE_ADMIN_H_
#define SEER_TESTS_TESTING_SERVER_IN_PROCESS_GATE_ADMIN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"
#include "grpcpp/support/sync_stream.h"
#include "gtest/gtest.h"
#include "proto/seer/v1/gate_admin.grpc.pb.h"
#include "server/admin/gate_admin_service.h"
#include "server/admin/rollout/rollout_control.h"
#include "server/grpc/grpc_server.h"
#include "server/metrics/admin_metrics.h"
#include "tests/testing/engine/fakes/fake_gate_control.h"
#include "tests/testing/server/temporary_catalog.h"

namespace seer {

// GateAdminService of the model "m", without jobs, over a real connection, a
// real catalog and gates on paper. The catalog takes 4 open uploads, each of
// 8 MiB at most.
class GateAdminTest : public testing::Test {
 protected:
  using Stub = v1::GateAdminService::Stub;
  using Writer = std::unique_ptr<grpc::ClientWriter<v1::WriteUploadRequest>>;

  static constexpr int64_t kMiB = int64_t{1} << 20;

  GateAdminTest();
  ~GateAdminTest() override;

  // Serves with what options_ says by then, anew if it did.
  void Start();
  void Stop();

  // With token_, if there is one.
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                 const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    if (!token_.empty()) {
      context.AddMetadata("authorization", "Bearer " + token_);
    }
    return ((*stub_).*method)(&context, request, response);
  }
  // The reason of an error, or the field that it is about, or "".
  static std::string Why(const grpc::Status& status);

  static v1::CreateUploadRequest Describe(
      absl::string_view content,
      v1::UploadFormat format = v1::UPLOAD_FORMAT_TEXT);
  std::string Create(const v1::CreateUploadRequest& request);
  static v1::WriteUploadRequest Chunk(const std::string& name, int64_t offset,
                                      absl::string_view data);
  // One stream of these chunks.
  grpc::Status Write(const std::vector<v1::WriteUploadRequest>& chunks,
                     v1::Upload* upload);
  v1::Upload Get(const std::string& name);
  grpc::Status Finalize(const std::string& name,
                        v1::FinalizeUploadResponse* response);
  // All of an upload: created, written and finalized.
  grpc::Status Upload(absl::string_view content, v1::UploadFormat format,
                      v1::FinalizeUploadResponse* response);
  // Its name.
  std::string UploadGateSet(absl::string_view content);

  // As the server counts them.
  int64_t UploadedBytes();
  // For half a minute at most.
  static void WaitUntil(const std::function<bool()>& done);

  TemporaryCatalog catalog_;
  FakeGateControl gates_;
  AdminMetrics metrics_{"m"};
  GateAdminService::Options options_;
  std::string token_;
  std::string name_;  // of the last Upload
  std::unique_ptr<RolloutControl> rollouts_;
  std::unique_ptr<GateAdminService> service_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<Stub> stub_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_SERVER_IN_PROCESS_GATE_ADMIN_H_
