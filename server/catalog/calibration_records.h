// Calibration jobs as the catalog keeps them, as values.
#ifndef SEER_SERVER_CATALOG_CALIBRATION_RECORDS_H_
#define SEER_SERVER_CATALOG_CALIBRATION_RECORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace seer {

// Why something went wrong for good: UPPER_SNAKE_CASE, and a sentence for
// people that names no path.
struct Failure {
  std::string reason;
  std::string message;
};

// Every setting of a job, defaults filled in. The catalog checks none of them.
struct CalibrationSpec {
  std::string model;  // the {model} of its name
  std::string dataset_id;
  std::string display_name;
  std::string design;  // e.g. "Qavg_Kmaxminavg", "mean_pool"
  std::string target;  // "max", "mass", "root_mass"
  std::string loss;    // "kl", "kl_reference", "mse"
  int64_t steps = 0;
  int64_t warmup_steps = 0;
  int64_t tokens_per_step = 0;
  int64_t sequence_len = 0;  // tokens
  double learning_rate = 0;
  uint64_t seed = 0;
  double device_share = 0;         // (0, 1]
  double validation_fraction = 0;  // (0, 0.5]
};

// What a job's checkpoint has reached; losses have one entry a layer, or none.
struct CalibrationProgress {
  std::string phase;  // "preparing", "training", "profiling", "evaluating"
  int64_t step = 0;
  int64_t steps = 0;
  std::vector<double> layer_losses;
  std::vector<double> layer_validation_losses;
};

// Measured on held-out data; see GateQuality in gate_admin.proto.
struct GateQuality {
  struct Recall {
    double density = 0;  // asked for
    double realized_density = 0;
    double mass_recall = 0;
    double oracle_mass_recall = 0;
    double block_recall = 0;
  };
  struct Layer {
    double loss = 0;
    std::vector<Recall> recalls;
  };
  struct Perplexity {
    double density = 0;
    double perplexity = 0;
  };
  std::vector<Layer> layers;
  std::vector<Perplexity> perplexities;
  double dense_perplexity = 0;
  int64_t num_tokens = 0;
};

// What a gate set's file says of its making; "" and 0 where it says nothing.
struct ProvenanceRecord {
  std::string target;
  std::string loss;
  std::string dataset_sha256;
  int64_t dataset_tokens = 0;
  int64_t steps = 0;
  uint64_t seed = 0;
  std::string tool_version;
};

// Stored as these numbers. The last three are ends: nothing changes after them.
enum class JobState {
  kQueued = 1,
  kRunning = 2,
  kPaused = 3,
  kSucceeded = 4,
  kFailed = 5,
  kCancelled = 6,
};

// What makes a repeated call known as such.
struct RequestKey {
  std::string id;  // the client's; "": none, every call is a new one
  // Of all that the client asked for, before defaults were filled in: two calls
  // with one id and different digests are a mistake of the client's.
  std::string digest;
};

struct CalibrationJob {
  std::string id;
  CalibrationSpec spec;
  RequestKey request;
  JobState state = JobState::kQueued;
  // Times it was started since its last checkpoint, pause or orderly stop: a
  // job that takes the server down each time it runs shows here.
  int64_t attempts = 0;
  bool has_checkpoint = false;
  CalibrationProgress progress;  // as of the checkpoint, or of its end
  std::optional<GateQuality> quality;
  std::string gate_set_id;  // of a job that succeeded
  std::optional<Failure> failure;
  absl::Time create_time;
  absl::Time start_time = absl::InfinitePast();  // that: has not run
  absl::Time end_time = absl::InfiniteFuture();  // that: has not ended
};

// What the end of a job brings: `pieces` of its gate set's file and what is
// known of it are arguments of their own.
struct JobResult {
  CalibrationProgress progress;
  GateQuality quality;
};

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_CALIBRATION_RECORDS_H_
