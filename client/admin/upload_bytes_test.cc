#include "client/admin/upload_bytes.h"

#include <memory>
#include <string>
#include <vector>

#include "client/admin/gate_admin_client.h"
#include "client/testing/memory_uploads.h"
#include "client/testing/scripted_admin_server.h"
#include "client/testing/scripted_server.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr int64_t kChunk = 1 << 20;

grpc::Status WithReason(grpc::StatusCode code, const std::string& reason) {
  google::rpc::ErrorInfo error_info;
  error_info.set_reason(reason);
  return WithDetails(code, reason, {&error_info});
}

class UploadBytesTest : public ::testing::Test {
 protected:
  UploadBytesTest() {
    for (int64_t i = 0; i < 3 * kChunk + 17; ++i) {
      bytes_.push_back(static_cast<char>(i * i >> 7));
    }
    AdminScript script;
    uploads_.AddTo(&script);
    server_ = std::make_unique<ScriptedAdminServer>(script);
  }

  absl::StatusOr<v1::FinalizeUploadResponse> Upload(
      int max_attempts, Canceller* canceller = nullptr) {
    ClientOptions options;
    options.target = server_->address();
    options.retry.max_attempts = max_attempts;
    options.retry.initial_backoff = absl::Milliseconds(1);
    const auto client = GateAdminClient::Create(options);
    if (!client.ok()) return client.status();
    UploadContent content;
    content.kind = v1::UPLOAD_KIND_DATASET;
    content.format = v1::UPLOAD_FORMAT_TEXT;
    content.bytes = absl::MakeConstSpan(
        reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size());
    CallOptions call_options;
    call_options.canceller = canceller;
    return UploadBytes(
        **client, content,
        [&](int64_t sent, int64_t size) {
          EXPECT_EQ(size, static_cast<int64_t>(bytes_.size()));
          sent_.push_back(sent);
          if (canceller != nullptr && sent > kChunk) canceller->Cancel();
        },
        call_options);
  }

  std::string bytes_;
  MemoryUploads uploads_;
  std::unique_ptr<ScriptedAdminServer> server_;
  std::vector<int64_t> sent_;
};

TEST_F(UploadBytesTest, SendsAllInChunks) {
  const auto response = Upload(1);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->dataset().name(), "datasets/1");
  EXPECT_TRUE(uploads_.bytes("uploads/1") == bytes_);
  EXPECT_THAT(sent_,
              ElementsAre(0, kChunk, 2 * kChunk, 3 * kChunk, 3 * kChunk + 17));
}

TEST_F(UploadBytesTest, GoesOnAtTheCommittedSize) {
  uploads_.Break({1, grpc::Status(grpc::UNAVAILABLE, "broken")});
  uploads_.Break({0, WithReason(grpc::ABORTED, "UPLOAD_BUSY")});
  uploads_.Break({1, WithReason(grpc::INVALID_ARGUMENT, "CRC32C_MISMATCH")});
  uploads_.Break({0, WithReason(grpc::OUT_OF_RANGE, "UPLOAD_OFFSET")});
  uploads_.Break({1, grpc::Status(grpc::UNAVAILABLE, "broken")});
  // Three tries, but five faults: progress makes them anew.
  const auto response = Upload(3);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(uploads_.bytes("uploads/1") == bytes_);
  EXPECT_THAT(
      uploads_.stream_offsets(),
      ElementsAre(0, kChunk, kChunk, 2 * kChunk, 2 * kChunk, 3 * kChunk));
}

TEST_F(UploadBytesTest, TriesAreCountedWithoutProgress) {
  for (int i = 0; i < 3; ++i) {
    uploads_.Break({0, grpc::Status(grpc::UNAVAILABLE, "broken")});
  }
  EXPECT_TRUE(absl::IsUnavailable(Upload(3).status()));
  EXPECT_THAT(uploads_.stream_offsets(), SizeIs(3));
}

TEST_F(UploadBytesTest, OtherErrorsEndIt) {
  uploads_.Break({0, grpc::Status(grpc::INVALID_ARGUMENT, "no")});
  uploads_.Break({0, WithReason(grpc::RESOURCE_EXHAUSTED, "DISK_FULL")});
  EXPECT_EQ(Upload(3).status(), absl::InvalidArgumentError("no"));
  EXPECT_TRUE(absl::IsResourceExhausted(Upload(3).status()));
  EXPECT_THAT(uploads_.stream_offsets(), SizeIs(2));
}

TEST_F(UploadBytesTest, AnotherCallGoesOnWhereOneWasInterrupted) {
  uploads_.Break({2, grpc::Status(grpc::UNAVAILABLE, "broken")});
  EXPECT_TRUE(absl::IsUnavailable(Upload(1).status()));
  Canceller canceller;
  EXPECT_EQ(Upload(1, &canceller).status(),
            absl::CancelledError("cancelled by the caller"));
  const auto response = Upload(1);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(uploads_.bytes("uploads/1") == bytes_);
  EXPECT_GE(uploads_.stream_offsets().back(), 2 * kChunk);
}

TEST_F(UploadBytesTest, IsMadeAnewOnceItsResultIsGone) {
  EXPECT_EQ(Upload(1)->dataset().name(), "datasets/1");
  EXPECT_EQ(Upload(1)->dataset().name(), "datasets/1");
  EXPECT_THAT(uploads_.stream_offsets(), ElementsAre(0));
  uploads_.DeleteResults();
  EXPECT_EQ(Upload(1)->dataset().name(), "datasets/2");
  EXPECT_THAT(uploads_.stream_offsets(), ElementsAre(0, 0));
  EXPECT_NE(uploads_.creations()[2].request_id(),
            uploads_.creations()[3].request_id());
}

TEST_F(UploadBytesTest, IsMadeAnewOnceItsResultIsDamaged) {
  for (const char* name : {"datasets/1", "datasets/2", "datasets/3"}) {
    EXPECT_EQ(Upload(1)->dataset().name(), name);
    EXPECT_EQ(Upload(1)->dataset().name(), name) << "not sent again";
    uploads_.DamageResults();
  }
  EXPECT_THAT(uploads_.stream_offsets(), ElementsAre(0, 0, 0));
}

TEST_F(UploadBytesTest, OneThatIsMadeAnewGoesOnWhereItWasInterrupted) {
  EXPECT_EQ(Upload(1)->dataset().name(), "datasets/1");
  uploads_.DeleteResults();
  uploads_.Break({2, grpc::Status(grpc::UNAVAILABLE, "broken")});
  EXPECT_TRUE(absl::IsUnavailable(Upload(1).status()));
  EXPECT_EQ(Upload(1)->dataset().name(), "datasets/2");
  EXPECT_THAT(uploads_.stream_offsets(), ElementsAre(0, 0, 2 * kChunk));
  EXPECT_TRUE(uploads_.bytes("uploads/2") == bytes_);
}

}  // namespace
}  // namespace seer
