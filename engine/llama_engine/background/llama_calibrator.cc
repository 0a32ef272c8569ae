#include "engine/llama_engine/background/llama_calibrator.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/calibration/plan/option_checks.h"
#include "engine/errors.h"
#include "engine/gate/oracle.h"
#include "engine/llama_engine/background/calibration_channel.h"
#include "engine/llama_engine/background/paged_layer_source.h"
#include "kernels/ragged_batch.h"

namespace seer {

absl::Status LlamaCalibrator::CheckFits(int64_t sequence_len) const {
  const int64_t needed =
      PagedLayerSource::PagesNeeded(sequence_len, parts_.num_layers);
  if (needed <= parts_.num_pages) return absl::OkStatus();
  return WithReason(
      absl::ResourceExhaustedError(
          absl::StrCat("a sequence of ", sequence_len, " tokens takes ", needed,
                       " pages of the KV cache, which has ", parts_.num_pages)),
      {"OUT_OF_MEMORY", parts_.num_pages * parts_.num_layers * kBlockSize,
       sequence_len});
}

absl::Status LlamaCalibrator::CheckAllowed(const std::string& design) const {
  if (parts_.allow_oracle_gates || OracleNamed(design) == Oracle::kNone) {
    return absl::OkStatus();
  }
  return OracleNotAllowed(design);
}

absl::StatusOr<std::unique_ptr<CalibrationRun>> LlamaCalibrator::Start(
    const CalibrationOptions& options,
    std::shared_ptr<const TokenSequences> sequences,
    const std::string& checkpoint) {
  SEER_RETURN_IF_ERROR(parts_.inbox->CheckOpen());
  SEER_RETURN_IF_ERROR(CheckCalibrationOptions(options, parts_.context_len));
  SEER_RETURN_IF_ERROR(CheckAllowed(options.design));
  SEER_RETURN_IF_ERROR(CheckSequences(*sequences));
  SEER_RETURN_IF_ERROR(CheckFits(options.sequence_len));
  SEER_ASSIGN_OR_RETURN(const std::string identity,
                        RunIdentity(options, *sequences, parts_.engine));
  CalibrationOrder order;
  CalibrationStatus status;
  status.steps = options.steps;
  if (options.steps == 0) status.phase = CalibrationPhase::kProfiling;
  if (!checkpoint.empty()) {
    SEER_ASSIGN_OR_RETURN(order.resumed, ParseRunState(checkpoint, identity));
    status.step = order.resumed->step;
  }
  order.options = options;
  order.sequences = std::move(sequences);
  order.channel = std::make_shared<CalibrationChannel>(
      identity, std::move(status), [inbox = parts_.inbox] { inbox->Wake(); });
  const std::shared_ptr<CalibrationChannel> channel = order.channel;
  SEER_RETURN_IF_ERROR(parts_.work->Offer(std::move(order)));
  parts_.inbox->Wake();
  return MakeCalibrationRun(channel);
}

}  // namespace seer
