#include "server/calibration_jobs/run/job_checkpoint.h"

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/strip.h"
#include "server/calibration_jobs/run/job_failure.h"

namespace seer {
namespace {

constexpr absl::string_view kMagic = "SEERJOB1";
constexpr char kTraining = 0;
constexpr char kTrained = 1;

// The same description of each value serves both directions.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void Number(const uint64_t& value) {
    for (int i = 0; i < 8; ++i) {
      out_.push_back(static_cast<char>(value >> (8 * i)));
    }
  }
  void Number(const int64_t& value) { Number(static_cast<uint64_t>(value)); }
  void Number(const double& value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    Number(bits);
  }
  void Bytes(absl::string_view bytes) {
    Number(static_cast<uint64_t>(bytes.size()));
    out_.append(bytes.data(), bytes.size());
  }
  template <typename T, typename Each>
  void List(const std::vector<T>& items, const Each& each) {
    Number(static_cast<uint64_t>(items.size()));
    for (const T& item : items) each(item);
  }

 private:
  std::string& out_;
};

class Reader {
 public:
  explicit Reader(absl::string_view in) : in_(in) {}

  bool ok() const { return ok_; }
  bool at_end() const { return in_.empty(); }

  void Number(uint64_t& value) {
    const absl::string_view bytes = Take(8);
    value = 0;
    for (size_t i = bytes.size(); i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(bytes[i]);
    }
  }
  void Number(int64_t& value) {
    uint64_t bits;
    Number(bits);
    value = static_cast<int64_t>(bits);
  }
  void Number(double& value) {
    uint64_t bits;
    Number(bits);
    std::memcpy(&value, &bits, sizeof(value));
  }
  void Bytes(std::string& bytes) {
    uint64_t size;
    Number(size);
    bytes = std::string(Take(size));
  }
  template <typename T, typename Each>
  void List(std::vector<T>& items, const Each& each) {
    uint64_t count;
    Number(count);
    // An item has 8 bytes at least, so this bounds what a wrong count takes.
    if (count > in_.size() / 8) ok_ = false;
    if (!ok_) return;
    items.resize(count);
    for (T& item : items) each(item);
  }

 private:
  absl::string_view Take(uint64_t size) {
    if (size > in_.size()) ok_ = false;
    if (!ok_) return {};
    const absl::string_view taken = in_.substr(0, size);
    in_.remove_prefix(size);
    return taken;
  }

  absl::string_view in_;
  bool ok_ = true;
};

template <typename Archive, typename Quality>
void Visit(Archive& archive, Quality& quality) {
  archive.List(quality.layers, [&](auto& layer) {
    archive.Number(layer.loss);
    archive.List(layer.recalls, [&](auto& recall) {
      archive.Number(recall.density);
      archive.Number(recall.realized_density);
      archive.Number(recall.mass_recall);
      archive.Number(recall.oracle_mass_recall);
      archive.Number(recall.block_recall);
    });
  });
  archive.Number(quality.num_tokens);
}

template <typename Archive, typename Result>
void VisitResult(Archive& archive, Result& result) {
  archive.Bytes(result.file);
  Visit(archive, result.quality);
  const auto number = [&](auto& value) { archive.Number(value); };
  archive.Number(result.status.step);
  archive.Number(result.status.steps);
  archive.List(result.status.layer_losses, number);
  archive.List(result.status.layer_validation_losses, number);
  archive.Number(result.status.tokens_per_second);
  archive.List(result.held_out, number);
}

absl::Status Damaged() {
  return JobError("CHECKPOINT_DAMAGED", "the job's checkpoint is damaged");
}

std::string Header(absl::string_view fingerprint, char kind) {
  std::string header(kMagic);
  Writer(header).Bytes(fingerprint);
  header.push_back(kind);
  return header;
}

}  // namespace

std::string TrainingHeader(absl::string_view fingerprint) {
  return Header(fingerprint, kTraining);
}

std::string SerializeTrained(absl::string_view fingerprint,
                             const CalibrationResult& result) {
  std::string bytes = Header(fingerprint, kTrained);
  Writer writer(bytes);
  VisitResult(writer, result);
  return bytes;
}

absl::StatusOr<JobCheckpoint> ParseJobCheckpoint(absl::string_view bytes) {
  JobCheckpoint checkpoint;
  if (!absl::ConsumePrefix(&bytes, kMagic)) return Damaged();
  Reader header(bytes);
  header.Bytes(checkpoint.fingerprint);
  const size_t header_len = sizeof(uint64_t) + checkpoint.fingerprint.size();
  if (!header.ok() || bytes.size() <= header_len) return Damaged();
  const char kind = bytes[header_len];
  bytes.remove_prefix(header_len + 1);
  if (kind == kTraining) {
    checkpoint.reached = std::string(bytes);
    return checkpoint;
  }
  if (kind != kTrained) return Damaged();
  CalibrationResult result;
  Reader reader(bytes);
  VisitResult(reader, result);
  if (!reader.ok() || !reader.at_end()) return Damaged();
  result.status.phase = CalibrationPhase::kEvaluating;
  checkpoint.reached = std::move(result);
  return checkpoint;
}

}  // namespace seer
