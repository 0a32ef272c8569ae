#ifndef SEER_SERVER_CALIBRATION_JOBS_RUN_GATE_MEASUREMENT_H_
#define SEER_SERVER_CALIBRATION_JOBS_RUN_GATE_MEASUREMENT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/calibrator.h"
#include "engine/gate_control.h"
#include "server/calibration_jobs/job_parts.h"
#include "server/calibration_jobs/run/sequence_scorer.h"
#include "server/catalog/calibration_records.h"

namespace seer {

// What a calibrator measured, in the catalog's words; without perplexities.
GateQuality QualityOf(const CalibrationQuality& quality);

// Measures the perplexity of a new gate set's file through the service's own
// engine, as requests would see it. For one thread.
class GateMeasurement {
 public:
  struct Options {
    absl::Duration gate_slot_wait;
    SequenceScorer::Options scorer;
  };

  // Everything is borrowed. `interrupted` is asked again and again;
  // `on_time_left` is told, after each request, how long the rest will take.
  GateMeasurement(const JobParts& parts, const Options& options,
                  std::function<bool()> interrupted,
                  std::function<void(absl::Duration)> on_time_left);

  // Fills in dense_perplexity, and perplexities at densities 0.5, 0.2, 0.1
  // under the allocation that requests get by default; of these tokens the
  // first of each sequence is not scored. Where there is no room for another
  // gate set on the device for gate_slot_wait, `perplexities` stays empty.
  // Installs the file for that long, but leaves a gate set that was there
  // before, or that requests have been routed to meanwhile.
  // Errors of SequenceScorer, GateControl::Install and TokenSequences.
  absl::Status Measure(const std::string& path, const TokenSequences& sequences,
                       const std::vector<int64_t>& indices,
                       GateQuality& quality);

 private:
  // The name; "" where there was no room.
  absl::StatusOr<std::string> Install(const std::string& path);
  void Remove(const std::string& name);
  absl::StatusOr<double> Perplexity(const TokenSequences& sequences,
                                    const std::vector<int64_t>& indices,
                                    const SparsityPolicy& policy);

  const JobParts parts_;
  const Options options_;
  const std::function<void(absl::Duration)> on_time_left_;
  SequenceScorer scorer_;
  absl::Time start_;
  int64_t num_requests_ = 0;  // to be made in all
  int64_t num_scored_ = 0;
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_RUN_GATE_MEASUREMENT_H_
