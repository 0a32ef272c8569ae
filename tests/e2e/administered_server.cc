#include "tests/e2e/administered_server.h"

#include <signal.h>

#include <fstream>
#include <random>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/hash/crc32c.h"
#include "base/hash/sha256.h"
#include "client/admin/rollout_change.h"
#include "client/admin/upload_bytes.h"
#include "client/connection/connection.h"
#include "client/connection/error_details.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_gate_set.h"

namespace seer {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Of a call that has succeeded; else the test has failed.
template <typename T>
T Succeeded(absl::StatusOr<T> result) {
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : T();
}

}  // namespace

AdministeredServer::AdministeredServer()
    : folder_(NewFolder()),
      state_folder_(folder_ + "/state"),
      model_folder_(NewModel()),
      token_("a-token-of-the-test") {
  std::ofstream(folder_ + "/token") << token_ << "\n";
}

void AdministeredServer::Start(const std::vector<std::string>& flags) {
  std::vector<std::string> all = {
      "--drain_seconds=2",
      "--state_dir=" + state_folder_,
      "--admin_port=0",
      "--admin_port_file=" + folder_ + "/port",
      "--admin_token_file=" + folder_ + "/token",
  };
  all.insert(all.end(), flags.begin(), flags.end());
  client_.reset();
  process_.reset();
  process_ = std::make_unique<ServerProcess>(model_folder_, all);
  ASSERT_TRUE(process_->WaitUntilServing()) << process_->Log();
  client_ = NewClient(token_);
}

void AdministeredServer::Kill() {
  process_->Signal(SIGKILL);
  process_->WaitForExit();
}

std::unique_ptr<GateAdminClient> AdministeredServer::NewClient(
    const std::string& token) const {
  ClientOptions options;
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(Read(folder_ + "/port"), &port));
  options.target = absl::StrCat("127.0.0.1:", port);
  options.bearer_token = token;
  options.retry.max_attempts = 1;
  return Succeeded(GateAdminClient::Create(options));
}

std::string AdministeredServer::Fingerprint() const {
  grpc::ClientContext context;
  v1::Model model;
  EXPECT_TRUE(
      process_->stub().GetModel(&context, v1::GetModelRequest(), &model).ok());
  return model.fingerprint();
}

std::string AdministeredServer::GateSetFile(uint64_t seed) const {
  return GateSetFile(seed, Fingerprint());
}

std::string AdministeredServer::GateSetFile(
    uint64_t seed, const std::string& fingerprint) const {
  TinyGateSetOptions options;
  options.fingerprint = fingerprint;
  options.seed = seed;
  const std::string path = NewFolder() + "/gate_set";
  const absl::Status status = WriteTinyGateSet(path, options);
  EXPECT_TRUE(status.ok()) << status;
  return Read(path);
}

absl::StatusOr<v1::FinalizeUploadResponse> AdministeredServer::Upload(
    v1::UploadKind kind, v1::UploadFormat format,
    absl::string_view bytes) const {
  UploadContent content;
  content.kind = kind;
  content.format = format;
  content.bytes = absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return UploadBytes(*client_, content, [](int64_t, int64_t) {});
}

absl::StatusOr<v1::Upload> AdministeredServer::CreateUpload(
    v1::UploadKind kind, v1::UploadFormat format, int64_t size,
    const std::string& sha256) const {
  v1::CreateUploadRequest request;
  request.mutable_upload()->set_kind(kind);
  request.mutable_upload()->set_format(format);
  request.mutable_upload()->set_size(size);
  request.mutable_upload()->set_sha256(sha256);
  return client_->Call(&GateAdminClient::Stub::CreateUpload, request);
}

absl::StatusOr<v1::Upload> AdministeredServer::WriteChunks(
    const std::string& upload, absl::string_view file, int64_t offset,
    int64_t chunk_size,
    absl::FunctionRef<void(v1::WriteUploadRequest&)> on_chunk) const {
  v1::Upload answer;
  const absl::Status status = client_->connection().Call(
      CallOptions(), [&](grpc::ClientContext* context) {
        auto writer = client_->stub()->WriteUpload(context, &answer);
        v1::WriteUploadRequest chunk;
        chunk.set_upload(upload);
        const int64_t size = static_cast<int64_t>(file.size());
        for (int64_t at = offset; at < size; at += chunk_size) {
          chunk.set_offset(at);
          chunk.set_data(std::string(file.substr(at, chunk_size)));
          chunk.set_crc32c(Crc32c(chunk.data()));
          on_chunk(chunk);
          if (!writer->Write(chunk)) break;
        }
        writer->WritesDone();
        return Connection::Outcome{writer->Finish()};
      });
  if (!status.ok()) return status;
  return answer;
}

absl::StatusOr<v1::Upload> AdministeredServer::GetUpload(
    const std::string& upload) const {
  v1::GetUploadRequest request;
  request.set_name(upload);
  return client_->Call(&GateAdminClient::Stub::GetUpload, request);
}

std::string AdministeredServer::UploadGateSet(uint64_t seed) const {
  return Succeeded(Upload(v1::UPLOAD_KIND_GATE_SET,
                          v1::UPLOAD_FORMAT_SAFETENSORS, GateSetFile(seed)))
      .gate_set()
      .name();
}

std::string AdministeredServer::UploadText(absl::string_view text) const {
  return Succeeded(
             Upload(v1::UPLOAD_KIND_DATASET, v1::UPLOAD_FORMAT_TEXT, text))
      .dataset()
      .name();
}

v1::GateRollout AdministeredServer::Rollout() const {
  return Succeeded(client_->GetGateRollout(kTinyRollout));
}

void AdministeredServer::MakeStable(const std::string& gate_set) const {
  EXPECT_EQ(Succeeded(ActivateGateSet(*client_, gate_set, {}, {})).stable(),
            gate_set);
}

v1::CalibrationJob AdministeredServer::SmallJob(const std::string& dataset,
                                                int steps) {
  v1::CalibrationJob job;
  job.set_dataset(dataset);
  job.set_steps(steps);
  job.set_sequence_length(256);
  job.set_tokens_per_step(512);
  job.set_seed(7);
  return job;
}

absl::StatusOr<v1::CalibrationJob> AdministeredServer::CreateJob(
    const v1::CalibrationJob& job) const {
  v1::CreateCalibrationJobRequest request;
  *request.mutable_calibration_job() = job;
  return client_->Call(&GateAdminClient::Stub::CreateCalibrationJob, request);
}

v1::CalibrationJob AdministeredServer::EndOf(const std::string& job) const {
  return Succeeded(client_->WatchCalibrationJob(
      job, absl::Milliseconds(100), [](const v1::CalibrationJob&) {}));
}

v1::SparsityReport AdministeredServer::ReportOfARequest() const {
  grpc::ClientContext context;
  v1::CompleteResult result;
  const grpc::Status status = process_->stub().CompleteOnce(
      &context, SparseRequest(1, 640, 1), &result);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return result.summary().sparsity();
}

std::string RandomText(uint64_t seed, int64_t size) {
  std::mt19937_64 random(seed);
  std::string text;
  while (static_cast<int64_t>(text.size()) < size) {
    absl::StrAppend(&text, "w", random() % 1000,
                    random() % 12 == 0 ? "\n" : " ");
  }
  text.resize(static_cast<size_t>(size));
  return text;
}

v1::CompleteRequest SparseRequest(uint64_t seed, int prompt_len,
                                  int max_tokens) {
  std::mt19937_64 random(seed);
  v1::CompleteRequest request;
  for (int i = 0; i < prompt_len; ++i) {
    request.mutable_token_ids()->add_ids(
        static_cast<int32_t>(kTinyLlamaFirstByte + random() % 256));
  }
  request.set_max_tokens(max_tokens);
  request.set_ignore_eos(true);
  request.mutable_sparsity()->set_target_sparsity(0.5);
  return request;
}

std::string DigestOf(absl::string_view bytes) {
  return Sha256Hex(absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
}

std::string NamedBy(const absl::Status& status) {
  const ErrorDetails details = DetailsOf(status);
  return details.fields.empty() ? details.reason : details.fields[0].path;
}

}  // namespace seer
