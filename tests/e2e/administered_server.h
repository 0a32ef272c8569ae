#ifndef SEER_TESTS_E2E_ADMINISTERED_SERVER_H_
#define SEER_TESTS_E2E_ADMINISTERED_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/admin/gate_admin_client.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "tests/e2e/server_process.h"

namespace seer {

// The rollout of the model that every AdministeredServer serves.
inline constexpr char kTinyRollout[] = "models/tiny/gateRollout";

// A real seerserve with a state folder, which outlives its process, and a
// client of its admin port. Failures of what should succeed fail the test. Only
// Start and Kill change it: all else is thread-safe.
class AdministeredServer {
 public:
  AdministeredServer();

  // Starts a process on the state folder and waits until it serves; the one
  // before must have ended. `flags` come after those that set it up.
  void Start(const std::vector<std::string>& flags = {});
  // As kill -9 does; waits for the end.
  void Kill();

  ServerProcess& process() { return *process_; }
  const GateAdminClient& client() const { return *client_; }
  // Another client. "": without a token. No call is tried twice.
  std::unique_ptr<GateAdminClient> NewClient(const std::string& token) const;
  const std::string& state_folder() const { return state_folder_; }
  const std::string& token() const { return token_; }
  const std::string& model_folder() const { return model_folder_; }

  // A gate set file of random weights for the model, or for one of another
  // fingerprint.
  std::string GateSetFile(uint64_t seed) const;
  std::string GateSetFile(uint64_t seed, const std::string& fingerprint) const;
  std::string Fingerprint() const;

  // What a file becomes; errors of UploadBytes.
  absl::StatusOr<v1::FinalizeUploadResponse> Upload(
      v1::UploadKind kind, v1::UploadFormat format,
      absl::string_view bytes) const;
  // The first steps of that. `sha256` is of the file.
  absl::StatusOr<v1::Upload> CreateUpload(v1::UploadKind kind,
                                          v1::UploadFormat format, int64_t size,
                                          const std::string& sha256) const;
  // One stream of chunks, from `offset` to the end of `file`; each is as it
  // must be until `on_chunk` has seen it.
  absl::StatusOr<v1::Upload> WriteChunks(
      const std::string& upload, absl::string_view file, int64_t offset,
      int64_t chunk_size,
      absl::FunctionRef<void(v1::WriteUploadRequest&)> on_chunk) const;
  absl::StatusOr<v1::Upload> GetUpload(const std::string& upload) const;
  // The name of what comes of a whole upload.
  std::string UploadGateSet(uint64_t seed) const;
  std::string UploadText(absl::string_view text) const;

  v1::GateRollout Rollout() const;
  // At once for all requests.
  void MakeStable(const std::string& gate_set) const;

  // A job of `steps` optimizer steps, as small as they come, with a fixed seed.
  static v1::CalibrationJob SmallJob(const std::string& dataset, int steps);
  absl::StatusOr<v1::CalibrationJob> CreateJob(
      const v1::CalibrationJob& job) const;
  // Watches a job to its end.
  v1::CalibrationJob EndOf(const std::string& job) const;

  // What a request that asks for sparsity and names no gate was served with.
  v1::SparsityReport ReportOfARequest() const;

 private:
  const std::string folder_;
  const std::string state_folder_;
  const std::string model_folder_;
  const std::string token_;
  std::unique_ptr<ServerProcess> process_;
  std::unique_ptr<GateAdminClient> client_;
};

// `size` bytes of words, other ones for another seed.
std::string RandomText(uint64_t seed, int64_t size);

// A request that is served sparsely; its prompt has `prompt_len` tokens.
v1::CompleteRequest SparseRequest(uint64_t seed, int prompt_len,
                                  int max_tokens);

// Of a whole file.
std::string DigestOf(absl::string_view bytes);

// The field path or, without one, the reason that a refusal names.
std::string NamedBy(const absl::Status& status);

}  // namespace seer

#endif  // SEER_TESTS_E2E_ADMINISTERED_SERVER_H_
