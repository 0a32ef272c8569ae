// Background distillation of a gate on an engine that serves meanwhile.
// Absl only: server/ needs no torch.
//
//   SEER_ASSIGN_OR_RETURN(auto run, calibrator.Start(options, sequences, ""));
//   while (true) {
//     std::optional<CalibrationEvent> event = run->Next(next_checkpoint);
//     if (!event.has_value()) { run->RequestCheckpoint(); ... }
//     ...  // a checkpoint: keep it; a result or an error: the end
//   }
//
// To pause: RequestCheckpoint, keep it, destroy the run; to resume: Start with
// that checkpoint. What comes out is the same, bit for bit, however often, on
// the same device and, on the CPU, with the same number of threads.
#ifndef SEER_ENGINE_CALIBRATOR_H_
#define SEER_ENGINE_CALIBRATOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/token.h"

namespace seer {

// What a gate is trained to predict: see docs/design/attention_pooling.md. The
// last are the square roots of the mass, each row of them over its sum: see
// docs/design/calibration.md.
enum class CalibrationTarget { kMax, kMass, kRootMass };
// See GateLoss (engine/calibration/training_options.h). The last two are for
// the max target only.
enum class CalibrationLoss { kKl, kKlReference, kMse };

struct CalibrationOptions {
  // One of the 49; or one without weights, mean_pool or, on an engine that
  // allows them, oracle_max or oracle_mass: then nothing is trained, and the
  // file holds only a budget profile.
  std::string design = "Qavg_Kmaxminavg";
  // Without weights: what quality is measured against; of an oracle its own.
  CalibrationTarget target = CalibrationTarget::kMax;
  CalibrationLoss loss = CalibrationLoss::kKl;
  // Optimizer steps, [1, 1000000]; without weights 0.
  int64_t steps = 500;
  int64_t warmup_steps = 20;         // [0, steps]
  int64_t sequences_per_step = 8;    // [1, 65536]
  int64_t sequence_len = 8192;       // tokens, [128, the context length]
  double learning_rate = 1e-3;       // the peak, (0, 1]
  uint64_t seed = 0;                 // weights, order, which are held out
  double device_share = 0.2;         // while requests run, (0, 1]
  double validation_fraction = 0.1;  // of the sequences, (0, 0.5]
  // Written into the file.
  std::string dataset_sha256;  // 64 lowercase hex digits; "": not known
  std::string tool_version;    // <= 256 bytes of text; "": not known
  absl::Time created;
};

// A dataset as token ids, cut into sequences of equal length. Thread-safe; the
// engine's thread reads one at a time and waits for it: from memory or a mapped
// file.
class TokenSequences {
 public:
  virtual ~TokenSequences() = default;
  virtual int64_t num_sequences() const = 0;
  // Of sequence `index`: sequence_len ids of the model's vocabulary.
  virtual absl::StatusOr<std::vector<TokenId>> Read(int64_t index) const = 0;
};

enum class CalibrationPhase { kTraining, kProfiling, kEvaluating };

struct CalibrationStatus {
  CalibrationPhase phase = CalibrationPhase::kTraining;
  int64_t step = 0;  // optimizer steps done
  int64_t steps = 0;
  std::vector<double> layer_losses;  // [layers], mean of the last 10 steps
  std::vector<double> layer_validation_losses;  // [layers], when last measured
  double tokens_per_second = 0.0;  // of training, over the last minute
  // Predicted time to the end at that pace. Unset: not known.
  std::optional<absl::Duration> time_left;
};

// Of held-out sequences.
struct CalibrationQuality {
  struct Recall {
    double density = 0.0;  // asked for
    double realized_density = 0.0;
    double mass_recall = 0.0;
    double oracle_mass_recall = 0.0;
    double block_recall = 0.0;
  };
  struct Layer {
    double loss = 0.0;
    std::vector<Recall> recalls;  // at densities 0.5, 0.2, 0.1
  };
  std::vector<Layer> layers;
  int64_t num_tokens = 0;
};

// What a run goes on from: opaque, bound to its options and sequences, the base
// model and its dtype, and the kind of device.
struct CalibrationCheckpoint {
  std::string bytes;
  CalibrationStatus status;
};

struct CalibrationResult {
  std::string file;  // a gate set file, with its profile
  CalibrationQuality quality;
  CalibrationStatus status;
  std::vector<int64_t> held_out;  // indices of sequences not trained on
};

// An error is the end too. ABORTED, DIVERGED: with the layer and step.
// RESOURCE_EXHAUSTED, OUT_OF_MEMORY. UNAVAILABLE: the engine stops. INTERNAL.
// What TokenSequences::Read answered.
using CalibrationEvent =
    std::variant<CalibrationCheckpoint, CalibrationResult, absl::Status>;

// A job under way. One thread may wait in Next; the rest is thread-safe.
// Destroying it ends it within a micro-step and frees what it holds.
class CalibrationRun {
 public:
  virtual ~CalibrationRun() = default;

  virtual CalibrationStatus status() const = 0;

  // A checkpoint comes when the optimizer step under way has ended; in later
  // phases, at once. Asked again before that, it is one. Training goes on.
  virtual void RequestCheckpoint() = 0;

  // Waits until there is an event, or the deadline. After a result or an error
  // there is none any more.
  virtual std::optional<CalibrationEvent> Next(absl::Time deadline) = 0;
};

// Thread-safe.
class Calibrator {
 public:
  virtual ~Calibrator() = default;

  // Begins, or goes on from a checkpoint's bytes where they are not empty. The
  // run works between the engine's steps, in micro-steps (one layer of one
  // range of tiles), while requests run for its share of the device's time and
  // else for all of it; its memory is what requests leave: they can take it
  // away, and then the optimizer step under way is repeated later.
  // INVALID_ARGUMENT: an option out of range, named; a checkpoint bound
  // to anything else, or a damaged one (reason CHECKPOINT_DAMAGED).
  // FAILED_PRECONDITION: DATASET_TOO_SHORT, fewer than two sequences; BUSY,
  // another run is under way; ORACLE_NOT_ALLOWED. RESOURCE_EXHAUSTED,
  // OUT_OF_MEMORY: sequences so long never fit. UNAVAILABLE: the engine stops.
  // INTERNAL: it has failed.
  virtual absl::StatusOr<std::unique_ptr<CalibrationRun>> Start(
      const CalibrationOptions& options,
      std::shared_ptr<const TokenSequences> sequences,
      const std::string& checkpoint) = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATOR_H_
