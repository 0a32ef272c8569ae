// Bad requests to the admin port of the real server: each is refused with its
// code and reason, changes nothing, and the server still serves.
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/e2e/administered_server.h"

namespace seer {
namespace {

using Stub = GateAdminClient::Stub;

constexpr int kStateMib = 64;

// Of what WriteChunks tells of a chunk before it is sent.
void AsItIs(v1::WriteUploadRequest&) {}

class BadAdminRequestsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = new AdministeredServer();
    server_->Start({absl::StrCat("--max_state_mib=", kStateMib)});
    gate_set_ = new std::string(server_->UploadGateSet(1));
    server_->MakeStable(*gate_set_);
  }
  static void TearDownTestSuite() {
    server_->process().Signal(15);
    EXPECT_EQ(server_->process().WaitForExit(), 0) << server_->process().Log();
    delete server_;
    delete gate_set_;
  }
  void TearDown() override {
    EXPECT_EQ(server_->ReportOfARequest().gate(), server_->Rollout().stable());
  }

  static void ExpectRefused(const absl::Status& status, absl::StatusCode code,
                            absl::string_view named) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(NamedBy(status), named) << status;
  }
  // An upload of a text that is to be `file`.
  static std::string NewTextUpload(absl::string_view file) {
    const auto upload = server_->CreateUpload(
        v1::UPLOAD_KIND_DATASET, v1::UPLOAD_FORMAT_TEXT,
        static_cast<int64_t>(file.size()), DigestOf(file));
    EXPECT_TRUE(upload.ok()) << upload.status();
    return upload.ok() ? upload->name() : "";
  }

  static AdministeredServer* server_;
  static std::string* gate_set_;
};

AdministeredServer* BadAdminRequestsTest::server_ = nullptr;
std::string* BadAdminRequestsTest::gate_set_ = nullptr;

TEST_F(BadAdminRequestsTest, ChunksThatAreWrongAreNotWritten) {
  constexpr int64_t kChunk = 1000;
  const std::string file = RandomText(1, 3 * kChunk);
  const std::string upload = NewTextUpload(file);
  ExpectRefused(server_
                    ->WriteChunks(upload, file, 0, kChunk,
                                  [](v1::WriteUploadRequest& chunk) {
                                    if (chunk.offset() != kChunk) return;
                                    chunk.set_crc32c(chunk.crc32c() ^ 1);
                                  })
                    .status(),
                absl::StatusCode::kInvalidArgument, "CRC32C_MISMATCH");
  EXPECT_EQ(server_->GetUpload(upload)->committed_size(), kChunk);
  ExpectRefused(
      server_->WriteChunks(upload, file, kChunk + 1, kChunk, AsItIs).status(),
      absl::StatusCode::kOutOfRange, "UPLOAD_OFFSET");
  ExpectRefused(
      server_->WriteChunks(upload, file + "!", kChunk, kChunk, AsItIs).status(),
      absl::StatusCode::kOutOfRange, "UPLOAD_SIZE");
  v1::FinalizeUploadRequest finalize;
  finalize.set_name(upload);
  EXPECT_EQ(server_->GetUpload(upload)->committed_size(), 3 * kChunk);
  EXPECT_TRUE(
      server_->client().Call(&Stub::FinalizeUpload, finalize).status().ok());
}

TEST_F(BadAdminRequestsTest, UploadsThatCannotBe) {
  const auto create = [](int64_t size) {
    return server_
        ->CreateUpload(v1::UPLOAD_KIND_DATASET, v1::UPLOAD_FORMAT_TEXT, size,
                       DigestOf(""))
        .status();
  };
  ExpectRefused(create(0), absl::StatusCode::kInvalidArgument, "upload.size");
  ExpectRefused(create(int64_t{kStateMib} << 20),
                absl::StatusCode::kResourceExhausted, "QUOTA_BYTES");

  const auto other = server_->CreateUpload(
      v1::UPLOAD_KIND_DATASET, v1::UPLOAD_FORMAT_TEXT, 4, DigestOf("this"));
  ASSERT_TRUE(other.ok()) << other.status();
  v1::FinalizeUploadRequest finalize;
  finalize.set_name(other->name());
  ExpectRefused(
      server_->client().Call(&Stub::FinalizeUpload, finalize).status(),
      absl::StatusCode::kFailedPrecondition, "UPLOAD_INCOMPLETE");
  EXPECT_TRUE(
      server_->WriteChunks(other->name(), "that", 0, 4, AsItIs).status().ok());
  ExpectRefused(
      server_->client().Call(&Stub::FinalizeUpload, finalize).status(),
      absl::StatusCode::kFailedPrecondition, "SHA256_MISMATCH");
}

TEST_F(BadAdminRequestsTest, ContentThatIsWrong) {
  constexpr auto kDataset = v1::UPLOAD_KIND_DATASET;
  constexpr auto kGateSet = v1::UPLOAD_KIND_GATE_SET;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const std::string gate_set = server_->GateSetFile(2);
  struct Case {
    const char* what;
    v1::UploadKind kind;
    v1::UploadFormat format;
    std::string bytes;
    absl::StatusCode code;
    const char* reason;
    const char* said;
  };
  const std::vector<Case> cases = {
      {"binary garbage as text", kDataset, v1::UPLOAD_FORMAT_TEXT,
       "text\n\xff\xfe\x80", kInvalid, "DATASET_INVALID",
       "byte 6 is not UTF-8"},
      {"a NUL in a text", kDataset, v1::UPLOAD_FORMAT_TEXT,
       std::string("a\0b", 3), kInvalid, "DATASET_INVALID", "byte 2 is NUL"},
      {"no JSON", kDataset, v1::UPLOAD_FORMAT_JSON_LINES,
       "{\"text\": \"a\"}\n{\"text\": ", kInvalid, "DATASET_INVALID", "line 2"},
      {"a line over 16 MiB", kDataset, v1::UPLOAD_FORMAT_JSON_LINES,
       absl::StrCat("{\"text\": \"", std::string(17 << 20, 'a'), "\"}\n"),
       kInvalid, "DATASET_INVALID", "line 1"},
      {"ids of another vocabulary", kDataset, v1::UPLOAD_FORMAT_TOKEN_IDS,
       std::string(4, '\x7f'), kInvalid, "DATASET_INVALID", ""},
      {"half a gate set", kGateSet, v1::UPLOAD_FORMAT_SAFETENSORS,
       gate_set.substr(0, gate_set.size() / 2), kInvalid, "GATE_SET_INVALID",
       ""},
      {"a gate set of another model", kGateSet, v1::UPLOAD_FORMAT_SAFETENSORS,
       server_->GateSetFile(2, DigestOf("another model")),
       absl::StatusCode::kFailedPrecondition, "GATE_SET_INVALID", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const absl::Status status =
        server_->Upload(c.kind, c.format, c.bytes).status();
    ExpectRefused(status, c.code, c.reason);
    EXPECT_TRUE(absl::StrContains(status.message(), c.said)) << status;
  }
  EXPECT_EQ(server_->client().ListGateSets("models/tiny")->size(), 1u);
}

TEST_F(BadAdminRequestsTest, JobsThatCannotBe) {
  const std::string dataset = server_->UploadText(RandomText(2, 5000));
  const auto refusal = [&](auto edit) {
    v1::CalibrationJob job = AdministeredServer::SmallJob(dataset, 1);
    edit(job);
    return server_->CreateJob(job).status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectRefused(refusal([](auto& job) { job.set_design("Qmean_Kavg"); }),
                kInvalid, "calibration_job.design");
  ExpectRefused(
      refusal([](auto& job) {
        job.set_learning_rate(std::numeric_limits<double>::quiet_NaN());
      }),
      kInvalid, "calibration_job.learning_rate");
  ExpectRefused(refusal([](auto& job) { job.set_sequence_length(1 << 20); }),
                kInvalid, "calibration_job.sequence_length");
  EXPECT_EQ(
      refusal([](auto& job) { job.set_dataset("datasets/nothing"); }).code(),
      absl::StatusCode::kNotFound);

  // Of token ids it is known at once that they are too few.
  const auto ids =
      server_->Upload(v1::UPLOAD_KIND_DATASET, v1::UPLOAD_FORMAT_TOKEN_IDS,
                      std::string(4 * 2 * 256 - 4, '\0'));
  ASSERT_TRUE(ids.ok()) << ids.status();
  ExpectRefused(
      refusal([&](auto& job) { job.set_dataset(ids->dataset().name()); }),
      absl::StatusCode::kFailedPrecondition, "DATASET_TOO_SHORT");
  EXPECT_TRUE(server_->client().ListCalibrationJobs()->empty());
}

TEST_F(BadAdminRequestsTest, AJobFailsWhoseTextIsTooShort) {
  for (const char* text : {"a few words", "\n \n\t\n"}) {
    const auto job = server_->CreateJob(
        AdministeredServer::SmallJob(server_->UploadText(text), 1));
    ASSERT_TRUE(job.ok()) << job.status();
    const v1::CalibrationJob ended = server_->EndOf(job->name());
    EXPECT_EQ(ended.state(), v1::CALIBRATION_JOB_STATE_FAILED);
    EXPECT_EQ(ended.failure().reason(), "DATASET_TOO_SHORT");
  }
}

TEST_F(BadAdminRequestsTest, TheActiveGateSetStays) {
  ExpectRefused(server_->client().DeleteGateSet(*gate_set_),
                absl::StatusCode::kFailedPrecondition, "IN_USE");
  EXPECT_EQ(server_->Rollout().stable(), *gate_set_);
}

TEST_F(BadAdminRequestsTest, OfTwoActivationsWithOneEtagOneIsRefused) {
  const std::string names[] = {server_->UploadGateSet(3),
                               server_->UploadGateSet(4)};
  const v1::GateRollout before = server_->Rollout();
  absl::StatusOr<v1::GateRollout> after[2];
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      v1::UpdateGateRolloutRequest request;
      *request.mutable_gate_rollout() = before;
      request.mutable_gate_rollout()->set_stable(names[i]);
      after[i] = server_->client().Call(&Stub::UpdateGateRollout, request);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const int winner = after[0].ok() ? 0 : 1;
  ASSERT_TRUE(after[winner].ok()) << after[winner].status();
  ExpectRefused(after[1 - winner].status(), absl::StatusCode::kAborted,
                "ETAG_MISMATCH");
  EXPECT_EQ(server_->Rollout().stable(), names[winner]);
  server_->MakeStable(*gate_set_);
}

TEST_F(BadAdminRequestsTest, NobodyComesInWithoutTheToken) {
  for (const std::string& token : {std::string(), server_->token() + "x"}) {
    const auto client = server_->NewClient(token);
    EXPECT_EQ(client->GetGateRollout(kTinyRollout).status().code(),
              absl::StatusCode::kUnauthenticated);
    EXPECT_EQ(client->DeleteGateSet(*gate_set_).code(),
              absl::StatusCode::kUnauthenticated);
  }
}

TEST_F(BadAdminRequestsTest, ItDoesNotStartOffLoopbackWithoutAToken) {
  ServerProcess other(
      server_->model_folder(),
      {"--state_dir=" + NewFolder() + "/state", "--admin_port=0",
       "--admin_host=0.0.0.0", "--allow_insecure_non_loopback"});
  EXPECT_FALSE(other.WaitUntilServing());
  EXPECT_EQ(other.WaitForExit(), 2) << other.Log();
  EXPECT_TRUE(absl::StrContains(other.Log(), "admin_token_file"))
      << other.Log();
}

}  // namespace
}  // namespace seer
