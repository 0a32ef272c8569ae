#include "engine/calibration/files/run_checkpoint.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/hash/sha256.h"
#include "base/safetensors/safetensors.h"
#include "base/status_macros.h"
#include "engine/calibration/files/tensor_file.h"
#include "engine/errors.h"

namespace seer {
namespace {

constexpr char kFormat[] = "seer-calibration-checkpoint-1";

absl::Span<const uint8_t> BytesOf(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

absl::Status Damaged(absl::string_view what) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat("checkpoint: ", what)),
      {"CHECKPOINT_DAMAGED", std::nullopt, std::nullopt});
}

// Of all that a checkpoint says but this digest itself.
std::string Digest(const TensorFile& file) {
  Sha256 digest;
  for (const auto& [key, value] : file.metadata) {
    if (key == "sha256") continue;
    digest.Add(BytesOf(absl::StrCat(key, "=", value, "\n")));
  }
  for (const auto& [name, tensor] : file.tensors) {
    std::string line =
        absl::StrCat(name, " ", SafetensorsDtypeName(tensor.dtype));
    for (const int64_t size : tensor.shape) absl::StrAppend(&line, " ", size);
    absl::StrAppend(&line, "\n");
    digest.Add(BytesOf(line));
    digest.Add(tensor.bytes);
  }
  return digest.FinishHex();
}

absl::Status AddSequence(const TokenSequences& sequences, int64_t index,
                         Sha256* digest) {
  SEER_ASSIGN_OR_RETURN(const std::vector<TokenId> tokens,
                        sequences.Read(index));
  digest->Add({reinterpret_cast<const uint8_t*>(tokens.data()),
               tokens.size() * sizeof(TokenId)});
  return absl::OkStatus();
}

absl::StatusOr<int64_t> StepOf(const TensorFile& file, const char* key) {
  const auto found = file.metadata.find(key);
  int64_t step = 0;
  if (found == file.metadata.end() || !absl::SimpleAtoi(found->second, &step) ||
      step < 0) {
    return Damaged(absl::StrCat("metadata field ", key, " is no step"));
  }
  return step;
}

TensorFile Copied(const SafetensorsContents& contents) {
  TensorFile file;
  file.metadata = contents.metadata;
  for (const auto& [name, tensor] : contents.tensors) {
    file.tensors[name] = {
        tensor.dtype, tensor.shape, {tensor.bytes.begin(), tensor.bytes.end()}};
  }
  return file;
}

}  // namespace

absl::StatusOr<std::string> RunIdentity(const CalibrationOptions& options,
                                        const TokenSequences& sequences,
                                        const RunEngine& engine) {
  Sha256 digest;
  const int64_t num_sequences = sequences.num_sequences();
  digest.Add(BytesOf(absl::StrFormat(
      "design=%s\ntarget=%d\nloss=%d\nsteps=%d\nwarmup_steps=%d\n"
      "sequences_per_step=%d\nsequence_len=%d\nlearning_rate=%.17g\nseed=%d\n"
      "validation_fraction=%.17g\ndataset_sha256=%s\nfingerprint=%s\n"
      "dtype=%d\ndevice=%s\nnum_sequences=%d\n",
      options.design, static_cast<int>(options.target),
      static_cast<int>(options.loss), options.steps, options.warmup_steps,
      options.sequences_per_step, options.sequence_len, options.learning_rate,
      options.seed, options.validation_fraction, options.dataset_sha256,
      engine.fingerprint, static_cast<int>(engine.dtype), engine.device,
      num_sequences)));
  SEER_RETURN_IF_ERROR(AddSequence(sequences, 0, &digest));
  SEER_RETURN_IF_ERROR(AddSequence(sequences, num_sequences - 1, &digest));
  return digest.FinishHex();
}

absl::StatusOr<std::string> SerializeRunState(const RunState& state,
                                              const std::string& identity) {
  TensorFile file;
  file.tensors = state.tensors;
  file.metadata = {{"format", kFormat},
                   {"run", identity},
                   {"step", absl::StrCat(state.step)},
                   {"validated_step", absl::StrCat(state.validated_step)}};
  file.metadata["sha256"] = Digest(file);
  return ToBytes(file);
}

absl::StatusOr<RunState> ParseRunState(const std::string& bytes,
                                       const std::string& identity) {
  const absl::StatusOr<SafetensorsContents> contents =
      ParseSafetensors(BytesOf(bytes));
  if (!contents.ok()) return Damaged(contents.status().message());
  TensorFile file = Copied(*contents);
  if (file.metadata["format"] != kFormat) {
    return Damaged("metadata field format is not a checkpoint's");
  }
  if (file.metadata["sha256"] != Digest(file)) {
    return Damaged("its content is not what was saved");
  }
  if (file.metadata["run"] != identity) {
    return absl::InvalidArgumentError(
        "checkpoint: of a run with other options, other sequences, another "
        "base model or dtype, or on another kind of device");
  }
  RunState state;
  SEER_ASSIGN_OR_RETURN(state.step, StepOf(file, "step"));
  SEER_ASSIGN_OR_RETURN(state.validated_step, StepOf(file, "validated_step"));
  state.tensors = std::move(file.tensors);
  return state;
}

}  // namespace seer
