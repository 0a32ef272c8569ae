// The engine's Calibrator.
#ifndef SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_LLAMA_CALIBRATOR_H_
#define SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_LLAMA_CALIBRATOR_H_

#include <cstdint>
#include <memory>
#include <string>

#include "engine/calibration/files/run_checkpoint.h"
#include "engine/calibrator.h"
#include "engine/llama_engine/background/calibration_work.h"
#include "engine/llama_engine/requests/inbox.h"

namespace seer {

// Checks what can be checked on the caller's thread, and hands the rest to the
// engine's.
class LlamaCalibrator final : public Calibrator {
 public:
  struct Parts {
    CalibrationWork* work = nullptr;  // borrowed
    std::shared_ptr<Inbox> inbox;
    RunEngine engine;
    int64_t context_len = 0;  // tokens
    int32_t num_layers = 0;
    int64_t num_pages = 0;  // of the cache
    bool allow_oracle_gates = false;
  };
  explicit LlamaCalibrator(const Parts& parts) : parts_(parts) {}

  absl::StatusOr<std::unique_ptr<CalibrationRun>> Start(
      const CalibrationOptions& options,
      std::shared_ptr<const TokenSequences> sequences,
      const std::string& checkpoint) override;

 private:
  absl::Status CheckFits(int64_t sequence_len) const;
  absl::Status CheckAllowed(const std::string& design) const;

  const Parts parts_;
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_LLAMA_CALIBRATOR_H_
