#include "tests/testing/server/in_process_gate_admin.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/hash/crc32c.h"
#include "base/logging.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "tests/testing/server/status_details.h"

namespace seer {
namespace {

CatalogOptions SmallCatalog() {
  CatalogOptions options;
  options.max_upload_bytes = 8 << 20;
  options.max_open_uploads = 4;
  return options;
}

}  // namespace

GateAdminTest::GateAdminTest() : catalog_(SmallCatalog()) {
  SetLogSink([](absl::string_view) {});
  options_.max_stall = absl::Seconds(30);
}

GateAdminTest::~GateAdminTest() {
  Stop();
  SetLogSink({});
}

void GateAdminTest::Start() {
  Stop();
  ASSERT_TRUE(options_.Validate().ok());
  rollouts_ =
      std::make_unique<RolloutControl>(&*catalog_, &gates_, &metrics_, "m", "");
  ASSERT_TRUE(rollouts_->Restore(absl::Now()).ok());
  GateAdminService::Parts parts;
  parts.catalog = &*catalog_;
  parts.gates = &gates_;
  parts.rollouts = rollouts_.get();
  parts.metrics = &metrics_;
  parts.model = "m";
  parts.vocab_size = 300;
  service_ = std::make_unique<GateAdminService>(parts, options_);
  auto server = GrpcServer::Start(GrpcServer::Options(), {service_.get()});
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  stub_ = v1::GateAdminService::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()),
                          grpc::InsecureChannelCredentials()));
}

void GateAdminTest::Stop() {
  server_.reset();
  service_.reset();
  rollouts_.reset();
}

std::string GateAdminTest::Why(const grpc::Status& status) {
  if (const auto info = DetailOf<google::rpc::ErrorInfo>(status)) {
    return info->reason();
  }
  const auto bad_request = DetailOf<google::rpc::BadRequest>(status);
  return bad_request ? bad_request->field_violations(0).field() : "";
}

v1::CreateUploadRequest GateAdminTest::Describe(absl::string_view content,
                                                v1::UploadFormat format) {
  v1::CreateUploadRequest request;
  v1::Upload& upload = *request.mutable_upload();
  upload.set_kind(format == v1::UPLOAD_FORMAT_SAFETENSORS
                      ? v1::UPLOAD_KIND_GATE_SET
                      : v1::UPLOAD_KIND_DATASET);
  upload.set_format(format);
  upload.set_size(static_cast<int64_t>(content.size()));
  upload.set_sha256(DigestOf(content));
  upload.set_display_name("prose");
  return request;
}

std::string GateAdminTest::Create(const v1::CreateUploadRequest& request) {
  v1::Upload upload;
  const grpc::Status status = Call(&Stub::CreateUpload, request, &upload);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return upload.name();
}

v1::WriteUploadRequest GateAdminTest::Chunk(const std::string& name,
                                            int64_t offset,
                                            absl::string_view data) {
  v1::WriteUploadRequest chunk;
  chunk.set_upload(name);
  chunk.set_offset(offset);
  chunk.set_data(std::string(data));
  chunk.set_crc32c(Crc32c(data));
  return chunk;
}

grpc::Status GateAdminTest::Write(
    const std::vector<v1::WriteUploadRequest>& chunks, v1::Upload* upload) {
  grpc::ClientContext context;
  Writer writer = stub_->WriteUpload(&context, upload);
  for (const v1::WriteUploadRequest& chunk : chunks) {
    if (!writer->Write(chunk)) break;
  }
  writer->WritesDone();
  return writer->Finish();
}

v1::Upload GateAdminTest::Get(const std::string& name) {
  v1::GetUploadRequest request;
  request.set_name(name);
  v1::Upload upload;
  EXPECT_TRUE(Call(&Stub::GetUpload, request, &upload).ok());
  return upload;
}

grpc::Status GateAdminTest::Finalize(const std::string& name,
                                     v1::FinalizeUploadResponse* response) {
  v1::FinalizeUploadRequest request;
  request.set_name(name);
  return Call(&Stub::FinalizeUpload, request, response);
}

grpc::Status GateAdminTest::Upload(absl::string_view content,
                                   v1::UploadFormat format,
                                   v1::FinalizeUploadResponse* response) {
  name_ = Create(Describe(content, format));
  v1::Upload upload;
  std::vector<v1::WriteUploadRequest> chunks;
  for (size_t at = 0; at < content.size(); at += kMiB) {
    chunks.push_back(
        Chunk(name_, static_cast<int64_t>(at), content.substr(at, kMiB)));
  }
  const grpc::Status status = Write(chunks, &upload);
  return status.ok() ? Finalize(name_, response) : status;
}

std::string GateAdminTest::UploadGateSet(absl::string_view content) {
  v1::FinalizeUploadResponse response;
  const grpc::Status status =
      Upload(content, v1::UPLOAD_FORMAT_SAFETENSORS, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.gate_set().name();
}

int64_t GateAdminTest::UploadedBytes() {
  for (const auto& family : metrics_.registry().Collect()) {
    if (family.name == "seer_calibration_upload_bytes_total") {
      return static_cast<int64_t>(family.metric[0].counter.value);
    }
  }
  return -1;
}

void GateAdminTest::WaitUntil(const std::function<bool()>& done) {
  const absl::Time limit = absl::Now() + absl::Seconds(30);
  while (!done() && absl::Now() < limit) {
    absl::SleepFor(absl::Milliseconds(2));
  }
  EXPECT_TRUE(done());
}

}  // namespace seer
