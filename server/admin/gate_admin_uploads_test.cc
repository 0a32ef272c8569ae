// Uploads and datasets over a real connection.
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/testing/server/in_process_gate_admin.h"
#include "tests/testing/server/status_details.h"

namespace seer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using GateAdminUploadsTest = GateAdminTest;

TEST_F(GateAdminUploadsTest, AnUploadThatBreaksGoesOnWhereItWas) {
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
  EXPECT_EQ(DetailOf<google::rpc::ResourceInfo>(again).value().resource_name(),
            first.dataset().name());
}

TEST_F(GateAdminUploadsTest, AWrongChunkIsNotWritten) {
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

TEST_F(GateAdminUploadsTest, OneStreamWritesAnUpload) {
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

TEST_F(GateAdminUploadsTest, AClientThatSendsNothingIsCancelled) {
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

TEST_F(GateAdminUploadsTest, WrongDescriptionsAreRefusedByTheField) {
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

TEST_F(GateAdminUploadsTest, ListsPageByPage) {
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

TEST_F(GateAdminUploadsTest, WrongContentFailsTheUpload) {
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

}  // namespace
}  // namespace seer
