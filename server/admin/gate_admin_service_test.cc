// GateAdminService over a real connection, a real catalog and gates on paper.
#include "server/admin/gate_admin_service.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/crc32c.h"
#include "base/fault_point.h"
#include "base/logging.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "server/grpc/grpc_server.h"
#include "tests/testing/engine/fake_gate_control.h"
#include "tests/testing/server/temporary_catalog.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kMiB = int64_t{1} << 20;

template <typename T>
std::optional<T> Detail(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  for (const auto& any : details.details()) {
    T detail;
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

// The reason of an error, or the field that it is about, or "".
std::string Why(const grpc::Status& status) {
  if (const auto info = Detail<google::rpc::ErrorInfo>(status)) {
    return info->reason();
  }
  const auto bad_request = Detail<google::rpc::BadRequest>(status);
  return bad_request ? bad_request->field_violations(0).field() : "";
}

CatalogOptions SmallCatalog() {
  CatalogOptions options;
  options.max_upload_bytes = 8 * kMiB;
  options.max_open_uploads = 4;
  return options;
}

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

class GateAdminServiceTest : public testing::Test {
 protected:
  using Stub = v1::GateAdminService::Stub;
  using Writer = std::unique_ptr<grpc::ClientWriter<v1::WriteUploadRequest>>;

  GateAdminServiceTest() {
    SetLogSink([](absl::string_view) {});
    options_.max_stall = absl::Seconds(30);
  }
  ~GateAdminServiceTest() override {
    Stop();
    SetLogSink({});
  }

  void Stop() {
    server_.reset();
    service_.reset();
    rollouts_.reset();
  }
  // Serves with `options_`.
  void Start() {
    Stop();
    ASSERT_TRUE(options_.Validate().ok());
    rollouts_ = std::make_unique<RolloutControl>(&*catalog_, &gates_, &metrics_,
                                                 "m", "");
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

  static v1::CreateUploadRequest Describe(
      absl::string_view content,
      v1::UploadFormat format = v1::UPLOAD_FORMAT_TEXT) {
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
  std::string Create(const v1::CreateUploadRequest& request) {
    v1::Upload upload;
    const grpc::Status status = Call(&Stub::CreateUpload, request, &upload);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return upload.name();
  }
  static v1::WriteUploadRequest Chunk(const std::string& name, int64_t offset,
                                      absl::string_view data) {
    v1::WriteUploadRequest chunk;
    chunk.set_upload(name);
    chunk.set_offset(offset);
    chunk.set_data(std::string(data));
    chunk.set_crc32c(Crc32c(data));
    return chunk;
  }
  // One stream of these chunks.
  grpc::Status Write(const std::vector<v1::WriteUploadRequest>& chunks,
                     v1::Upload* upload) {
    grpc::ClientContext context;
    Writer writer = stub_->WriteUpload(&context, upload);
    for (const v1::WriteUploadRequest& chunk : chunks) {
      if (!writer->Write(chunk)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  }
  v1::Upload Get(const std::string& name) {
    v1::GetUploadRequest request;
    request.set_name(name);
    v1::Upload upload;
    EXPECT_TRUE(Call(&Stub::GetUpload, request, &upload).ok());
    return upload;
  }
  grpc::Status Finalize(const std::string& name,
                        v1::FinalizeUploadResponse* response) {
    v1::FinalizeUploadRequest request;
    request.set_name(name);
    return Call(&Stub::FinalizeUpload, request, response);
  }
  // All of an upload: created, written and finalized.
  grpc::Status Upload(absl::string_view content, v1::UploadFormat format,
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
  std::string UploadGateSet(absl::string_view content) {
    v1::FinalizeUploadResponse response;
    const grpc::Status status =
        Upload(content, v1::UPLOAD_FORMAT_SAFETENSORS, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.gate_set().name();
  }

  // As the server counts them.
  int64_t UploadedBytes() {
    for (const auto& family : metrics_.registry().Collect()) {
      if (family.name == "seer_calibration_upload_bytes_total") {
        return static_cast<int64_t>(family.metric[0].counter.value);
      }
    }
    return -1;
  }
  // For half a minute at most.
  static void WaitUntil(const std::function<bool()>& done) {
    const absl::Time limit = absl::Now() + absl::Seconds(30);
    while (!done() && absl::Now() < limit) {
      absl::SleepFor(absl::Milliseconds(2));
    }
    EXPECT_TRUE(done());
  }

  TemporaryCatalog catalog_{SmallCatalog()};
  FakeGateControl gates_;
  AdminMetrics metrics_{"m"};
  GateAdminService::Options options_;
  std::string token_;
  std::string name_;  // of the last upload
  std::unique_ptr<RolloutControl> rollouts_;
  std::unique_ptr<GateAdminService> service_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<Stub> stub_;
};

TEST_F(GateAdminServiceTest, AnUploadThatBreaksGoesOnWhereItWas) {
  Start();
  const std::string content = std::string(kMiB, 'a') + "\nand the rest";
  v1::CreateUploadRequest request = Describe(content);
  request.set_request_id("one");
  const std::string name = Create(request);
  EXPECT_EQ(Create(request), name);
  v1::Upload upload;
  {
    grpc::ClientContext context;
    Writer writer = stub_->WriteUpload(&context, &upload);
    ASSERT_TRUE(writer->Write(Chunk(name, 0, content.substr(0, kMiB))));
    WaitUntil([&] { return UploadedBytes() == kMiB; });
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  // Not even a restart loses what the stream had brought.
  WaitUntil([&] { return Get(name).committed_size() == kMiB; });
  Stop();
  catalog_.Reopen();
  Start();
  v1::FinalizeUploadResponse first, second;
  EXPECT_EQ(Why(Finalize(name, &first)), "UPLOAD_INCOMPLETE");
  const v1::Upload broken = Get(name);
  EXPECT_EQ(broken.committed_size(), kMiB);
  EXPECT_EQ(broken.state(), v1::UPLOAD_STATE_RECEIVING);
  ASSERT_TRUE(Write({Chunk(name, kMiB, "\nand"),
                     Chunk("", kMiB + 4, content.substr(kMiB + 4))},
                    &upload)
                  .ok());
  EXPECT_EQ(upload.committed_size(), upload.size());

  ASSERT_TRUE(Finalize(name, &first).ok());
  EXPECT_EQ(first.dataset().num_documents(), 1);
  EXPECT_EQ(first.dataset().display_name(), "prose");
  EXPECT_FALSE(first.dataset().has_num_tokens());
  ASSERT_TRUE(Finalize(name, &second).ok());
  EXPECT_EQ(second.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(Get(name).result(), first.dataset().name());

  v1::DeleteDatasetRequest deleted;
  deleted.set_name(first.dataset().name());
  google::protobuf::Empty empty;
  EXPECT_TRUE(Call(&Stub::DeleteDataset, deleted, &empty).ok());
  const grpc::Status again = Call(&Stub::DeleteDataset, deleted, &empty);
  EXPECT_EQ(again.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Detail<google::rpc::ResourceInfo>(again)->resource_name(),
            first.dataset().name());
}

TEST_F(GateAdminServiceTest, AWrongChunkIsNotWritten) {
  Start();
  using C = grpc::StatusCode;
  struct Case {
    const char* why;
    C code;
    std::function<void(v1::WriteUploadRequest&)> spoil;
  };
  const std::string content = "hello world";
  const std::string stranger = Create(Describe(content));
  for (const Case& wrong : std::vector<Case>{
           {"CRC32C_MISMATCH", C::INVALID_ARGUMENT,
            [](auto& chunk) { chunk.mutable_data()->at(1) ^= 1; }},
           {"crc32c", C::INVALID_ARGUMENT,
            [](auto& chunk) { chunk.clear_crc32c(); }},
           {"data", C::INVALID_ARGUMENT,
            [](auto& chunk) { chunk.clear_data(); }},
           {"data", C::INVALID_ARGUMENT,
            [](auto& chunk) { chunk.set_data(std::string(kMiB + 1, 'x')); }},
           {"UPLOAD_OFFSET", C::OUT_OF_RANGE,
            [](auto& chunk) { chunk.set_offset(6); }},
           {"UPLOAD_OFFSET", C::OUT_OF_RANGE,
            [](auto& chunk) { chunk.set_offset(0); }},
           {"UPLOAD_SIZE", C::OUT_OF_RANGE,
            [](auto& chunk) { chunk = Chunk("", 5, " world!"); }},
           {"upload", C::INVALID_ARGUMENT,
            [&](auto& chunk) { chunk.set_upload(stranger); }},
       }) {
    SCOPED_TRACE(wrong.why);
    const std::string name = Create(Describe(content));
    v1::WriteUploadRequest chunk = Chunk("", 5, " world");
    wrong.spoil(chunk);
    v1::Upload upload;
    const grpc::Status status =
        Write({Chunk(name, 0, "hello"), chunk}, &upload);
    EXPECT_EQ(status.error_code(), wrong.code) << status.error_message();
    EXPECT_EQ(Why(status), wrong.why);
    // What came before it was right, and is kept.
    EXPECT_EQ(Get(name).committed_size(), 5);
    v1::DeleteUploadRequest request;
    request.set_name(name);
    google::protobuf::Empty empty;
    EXPECT_TRUE(Call(&Stub::DeleteUpload, request, &empty).ok());
  }
  v1::Upload upload;
  EXPECT_EQ(Why(Write({}, &upload)), "upload");
  EXPECT_EQ(Write({Chunk("uploads/none", 0, "x")}, &upload).error_code(),
            C::NOT_FOUND);
}

TEST_F(GateAdminServiceTest, OneStreamWritesAnUpload) {
  Start();
  const std::string name = Create(Describe("hello world"));
  v1::Upload upload, other;
  grpc::ClientContext context;
  Writer writer = stub_->WriteUpload(&context, &upload);
  ASSERT_TRUE(writer->Write(Chunk(name, 0, "hello")));
  WaitUntil([&] { return UploadedBytes() == 5; });
  const grpc::Status busy = Write({Chunk(name, 5, " world")}, &other);
  EXPECT_EQ(busy.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(Why(busy), "UPLOAD_BUSY");
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(upload.committed_size(), 5);
  EXPECT_TRUE(Write({Chunk(name, 5, " world")}, &other).ok());
}

TEST_F(GateAdminServiceTest, AClientThatSendsNothingIsCancelled) {
  options_.max_stall = absl::Seconds(1);
  Start();
  const std::string name = Create(Describe("hello world"));
  v1::Upload upload;
  grpc::ClientContext context;
  Writer writer = stub_->WriteUpload(&context, &upload);
  ASSERT_TRUE(writer->Write(Chunk(name, 0, "hello")));
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // Until the call has let go of the upload, another is UPLOAD_BUSY.
  bool written = false;
  WaitUntil([&] {
    written = written || Write({Chunk(name, 5, " world")}, &upload).ok();
    return written;
  });
  EXPECT_EQ(upload.committed_size(), 11);
}

TEST_F(GateAdminServiceTest, WrongDescriptionsAreRefusedByTheField) {
  Start();
  struct Case {
    const char* why;
    std::function<void(v1::CreateUploadRequest&)> spoil;
  };
  for (const Case& wrong : std::vector<Case>{
           {"upload.kind", [](auto& r) { r.mutable_upload()->clear_kind(); }},
           {"upload.format",
            [](auto& r) {
              r.mutable_upload()->set_format(v1::UPLOAD_FORMAT_SAFETENSORS);
            }},
           {"upload.format",
            [](auto& r) {
              r.mutable_upload()->set_kind(v1::UPLOAD_KIND_GATE_SET);
            }},
           {"upload.size", [](auto& r) { r.mutable_upload()->set_size(0); }},
           {"QUOTA_BYTES",
            [](auto& r) { r.mutable_upload()->set_size(8 * kMiB + 1); }},
           {"upload.sha256",
            [](auto& r) { r.mutable_upload()->mutable_sha256()->at(0) = 'A'; }},
           {"upload.display_name",
            [](auto& r) { r.mutable_upload()->set_display_name("a\nb"); }},
           {"upload.display_name",
            [](auto& r) {
              r.mutable_upload()->set_display_name(std::string(129, 'a'));
            }},
           {"upload.name", [](auto& r) { r.mutable_upload()->set_name("x"); }},
           {"request_id", [](auto& r) { r.set_request_id("a b"); }},
       }) {
    SCOPED_TRACE(wrong.why);
    v1::CreateUploadRequest request = Describe("hello");
    wrong.spoil(request);
    v1::Upload upload;
    EXPECT_EQ(Why(Call(&Stub::CreateUpload, request, &upload)), wrong.why);
  }
  for (const char* name : {"", "uploads/", "uploads/..", "uploads/a/b", "a",
                           "Uploads/a", "uploads/A", "datasets/a"}) {
    v1::GetUploadRequest request;
    request.set_name(name);
    v1::Upload upload;
    EXPECT_EQ(Why(Call(&Stub::GetUpload, request, &upload)), "name") << name;
  }
}

TEST_F(GateAdminServiceTest, ListsPageByPage) {
  Start();
  std::vector<std::string> names;
  for (int i = 0; i < 4; ++i) names.push_back(Create(Describe("hello")));
  v1::Upload refused;
  EXPECT_EQ(Why(Call(&Stub::CreateUpload, Describe("hello"), &refused)),
            "QUOTA_UPLOADS");
  v1::ListUploadsRequest request;
  request.set_page_size(3);
  v1::ListUploadsResponse first, second;
  ASSERT_TRUE(Call(&Stub::ListUploads, request, &first).ok());
  ASSERT_EQ(first.uploads_size(), 3);
  EXPECT_EQ(first.uploads(0).name(), names[3]);
  request.set_page_token(first.next_page_token());
  ASSERT_TRUE(Call(&Stub::ListUploads, request, &second).ok());
  ASSERT_EQ(second.uploads_size(), 1);
  EXPECT_EQ(second.uploads(0).name(), names[0]);
  EXPECT_EQ(second.next_page_token(), "");
  request.set_page_token("x");
  EXPECT_EQ(Why(Call(&Stub::ListUploads, request, &second)), "page_token");
  request.set_page_size(1001);
  EXPECT_EQ(Why(Call(&Stub::ListUploads, request, &second)), "page_size");
}

TEST_F(GateAdminServiceTest, WrongContentFailsTheUpload) {
  Start();
  struct Case {
    std::string content;
    v1::UploadFormat format;
    grpc::StatusCode code;
    const char* reason;   // of the answer
    const char* failure;  // of the upload
    const char* message;
  };
  using C = grpc::StatusCode;
  for (const Case& wrong : std::vector<Case>{
           {"\x7f\x45LF\xff", v1::UPLOAD_FORMAT_TEXT, C::INVALID_ARGUMENT,
            "DATASET_INVALID", "DATASET_INVALID", "byte 5"},
           {"{\"text\": \"a\"}\n{\"txt\": 1}\n", v1::UPLOAD_FORMAT_JSON_LINES,
            C::INVALID_ARGUMENT, "DATASET_INVALID", "DATASET_INVALID",
            "line 2"},
           {std::string("\x01\x00\x00\x00\x2c\x01\x00\x00", 8),
            v1::UPLOAD_FORMAT_TOKEN_IDS, C::INVALID_ARGUMENT, "DATASET_INVALID",
            "DATASET_INVALID", "record 2 is 300"},
           {"wrong", v1::UPLOAD_FORMAT_SAFETENSORS, C::INVALID_ARGUMENT,
            "GATE_SET_INVALID", "GATE_SET_INVALID", "layers.3.k"},
           {"other", v1::UPLOAD_FORMAT_SAFETENSORS, C::FAILED_PRECONDITION,
            "GATE_SET_INVALID", "OTHER_MODEL", "another model's"},
           {"oracle", v1::UPLOAD_FORMAT_SAFETENSORS, C::FAILED_PRECONDITION,
            "ORACLE_NOT_ALLOWED", "ORACLE_NOT_ALLOWED", "not offered"},
       }) {
    SCOPED_TRACE(wrong.content);
    v1::FinalizeUploadResponse response;
    const grpc::Status status = Upload(wrong.content, wrong.format, &response);
    EXPECT_EQ(status.error_code(), wrong.code);
    EXPECT_EQ(Why(status), wrong.reason);
    EXPECT_THAT(status.error_message(), HasSubstr(wrong.message));
    EXPECT_THAT(status.error_message(), Not(HasSubstr("blobs")));
    const v1::Upload failed = Get(name_);
    EXPECT_EQ(failed.state(), v1::UPLOAD_STATE_FAILED);
    EXPECT_EQ(failed.failure().reason(), wrong.failure);
    EXPECT_EQ(Why(Finalize(name_, &response)), "UPLOAD_ENDED");
  }
  v1::CreateUploadRequest request = Describe("hello");
  request.mutable_upload()->set_sha256(DigestOf("jello"));
  const std::string name = Create(request);
  v1::Upload upload;
  ASSERT_TRUE(Write({Chunk(name, 0, "hello")}, &upload).ok());
  v1::FinalizeUploadResponse response;
  EXPECT_EQ(Why(Finalize(name, &response)), "SHA256_MISMATCH");
  EXPECT_EQ(Get(name).state(), v1::UPLOAD_STATE_FAILED);
}

TEST_F(GateAdminServiceTest, AGateSetComesInServesAndGoesOut) {
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

TEST_F(GateAdminServiceTest, WrongRolloutsAreRefusedByTheField) {
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

TEST_F(GateAdminServiceTest, ADamagedGateSetSaysSo) {
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
  EXPECT_TRUE(Detail<google::rpc::RetryInfo>(refused).has_value());
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
