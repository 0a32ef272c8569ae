// What the catalog keeps, as values. Ids are bare: `uploads/x` on the wire is
// "x" here. Digests are SHA-256 in 64 lowercase hex digits, sizes are bytes.
// Paths are for the server alone: never in an answer or a message to a client.
#ifndef SEER_SERVER_CATALOG_RECORDS_H_
#define SEER_SERVER_CATALOG_RECORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/catalog/calibration_records.h"

namespace seer {

// Stored as these numbers.
enum class UploadKind { kDataset = 1, kGateSet = 2 };
enum class UploadFormat {
  kText = 1,
  kJsonLines = 2,
  kTokenIds = 3,
  kSafetensors = 4,
};
enum class UploadState { kReceiving = 1, kFinalized = 2, kFailed = 3 };

// What a new upload says about itself.
struct NewUpload {
  UploadKind kind = UploadKind::kDataset;
  UploadFormat format = UploadFormat::kText;
  int64_t size = 0;  // >= 1
  std::string sha256;
  std::string display_name;
  std::string request_id;  // "": none
};

struct Upload {
  std::string id;
  NewUpload spec;
  int64_t committed_size = 0;  // on disk, [0, spec.size]
  UploadState state = UploadState::kReceiving;
  std::string result_id;  // of the dataset or gate set that it became
  std::optional<Failure> failure;
  absl::Time create_time;
  absl::Time expire_time;
};

// A complete upload whose size and digest are right, to be read and judged.
struct SealedUpload {
  Upload upload;
  std::string path;
};

// What reading a dataset's file has found.
struct DatasetFacts {
  int64_t num_documents = 0;
  std::optional<int64_t> num_tokens;  // unset: not counted
};

struct Dataset {
  std::string id;
  std::string display_name;
  UploadFormat format = UploadFormat::kText;
  int64_t size = 0;
  std::string sha256;
  DatasetFacts facts;
  absl::Time create_time;
  std::optional<Failure> damage;  // MISSING or WRONG_SIZE: cannot be used
  std::string path;
};

// What reading a gate set's file has found.
struct GateSetFacts {
  std::string model;  // the {model} of its name, [a-z0-9-]{1,63}
  std::string design;
  std::string fingerprint;
  bool has_profile = false;
  ProvenanceRecord provenance;
};

// Not the engine's GateSet, which one process links too.
struct GateSetRecord {
  std::string id;  // "sha256-" and the first 12 digits of its digest
  std::string display_name;
  GateSetFacts facts;
  std::string sha256;
  int64_t size = 0;
  std::string source;  // "uploads/{id}" or "calibrationJobs/{id}"
  std::optional<GateQuality> quality;
  absl::Time create_time;
  std::optional<Failure> damage;  // MISSING, WRONG_SIZE, ...: must not serve
  std::string path;
};

// Which gate sets the requests of a model use. Empty ids stand for none.
struct Rollout {
  std::string stable;
  std::string canary;
  double canary_fraction = 0;  // [0, 1]; 0 without a canary
  std::string previous;        // stable before its last change
  std::string etag;
  absl::Time update_time = absl::InfinitePast();  // that: never changed
};

// A wish: members unset stay as they are.
struct RolloutChange {
  std::optional<std::string> stable;
  std::optional<std::string> canary;
  std::optional<double> canary_fraction;
  std::string etag;  // of the rollout that the wish was made for; required
  bool validate_only = false;
};

enum class RolloutCause { kUpdate = 1, kRollback = 2, kFallback = 3 };

struct RolloutRevision {
  Rollout rollout;  // as it became
  RolloutCause cause = RolloutCause::kUpdate;
  std::string message;
};

struct PageRequest {
  int limit = 100;    // [1, 1000]
  std::string token;  // next_token of the page before; "": the first page
};

// Newest first.
template <typename T>
struct Page {
  std::vector<T> items;
  std::string next_token;  // "": this is the last page
};

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_RECORDS_H_
