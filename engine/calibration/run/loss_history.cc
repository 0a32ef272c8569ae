#include "engine/calibration/run/loss_history.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace seer {
namespace {

constexpr size_t kNumRecent = 10;
constexpr size_t kNumHigh = 5;
constexpr double kFarAbove = 4.0;

double MeanOf(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(values.size());
}

CheckpointTensor ToTensor(const std::vector<double>& values,
                          int64_t num_layers) {
  CheckpointTensor tensor;
  tensor.dtype = SafetensorsDtype::kF64;
  tensor.shape = {num_layers, static_cast<int64_t>(values.size()) / num_layers};
  tensor.bytes.resize(values.size() * sizeof(double));
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

absl::Status FromTensor(const Checkpoint& checkpoint, const std::string& name,
                        std::vector<int64_t> shape,
                        std::vector<double>* values) {
  const auto found = checkpoint.find(name);
  values->resize(shape[0] * shape[1]);
  if (found == checkpoint.end() ||
      found->second.dtype != SafetensorsDtype::kF64 ||
      found->second.shape != shape ||
      found->second.bytes.size() != values->size() * sizeof(double)) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint: ", name, ": missing or of another shape"));
  }
  std::memcpy(values->data(), found->second.bytes.data(),
              found->second.bytes.size());
  return absl::OkStatus();
}

}  // namespace

absl::Status LossHistory::AddStep(int32_t layer, double loss) {
  Layer& of = layers_[layer];
  if (of.num_steps == 0) of.first = loss;
  if (of.recent.size() == kNumRecent) of.recent.erase(of.recent.begin());
  of.recent.push_back(loss);
  const int64_t step = of.num_steps++;
  if (of.recent.size() < kNumHigh) return absl::OkStatus();
  const double least =
      *std::min_element(of.recent.end() - kNumHigh, of.recent.end());
  if (!(least > kFarAbove * of.first)) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("training diverged: layer ", layer,
                                         ", step ", step, ": the loss is ",
                                         loss, " and began at ", of.first));
}

std::vector<double> LossHistory::RecentMeans() const {
  std::vector<double> means;
  for (const Layer& layer : layers_) {
    if (layer.recent.empty()) return {};
    means.push_back(MeanOf(layer.recent));
  }
  return means;
}

void LossHistory::Save(Checkpoint* checkpoint) const {
  std::vector<double> first;
  std::vector<double> recent;
  for (const Layer& layer : layers_) {
    if (layer.num_steps > 0) first.push_back(layer.first);
    recent.insert(recent.end(), layer.recent.begin(), layer.recent.end());
  }
  const int64_t num_layers = static_cast<int64_t>(layers_.size());
  (*checkpoint)["history.first"] = ToTensor(first, num_layers);
  (*checkpoint)["history.recent"] = ToTensor(recent, num_layers);
  (*checkpoint)["history.validation"] = ToTensor(validation_, num_layers);
}

absl::Status LossHistory::Load(const Checkpoint& checkpoint, int64_t step) {
  const int64_t num_layers = static_cast<int64_t>(layers_.size());
  const int64_t num_first = std::min<int64_t>(step, 1);
  const int64_t num_recent = std::min<int64_t>(step, kNumRecent);
  std::vector<double> first;
  std::vector<double> recent;
  std::vector<double> validation;
  SEER_RETURN_IF_ERROR(
      FromTensor(checkpoint, "history.first", {num_layers, num_first}, &first));
  SEER_RETURN_IF_ERROR(FromTensor(checkpoint, "history.recent",
                                  {num_layers, num_recent}, &recent));
  const auto saved = checkpoint.find("history.validation");
  const bool is_empty =
      saved != checkpoint.end() && saved->second.bytes.empty();
  SEER_RETURN_IF_ERROR(FromTensor(checkpoint, "history.validation",
                                  {num_layers, is_empty ? 0 : 1}, &validation));
  for (int64_t i = 0; i < num_layers; ++i) {
    layers_[i].num_steps = step;
    if (step > 0) layers_[i].first = first[i];
    layers_[i].recent.assign(recent.begin() + i * num_recent,
                             recent.begin() + (i + 1) * num_recent);
  }
  validation_ = std::move(validation);
  return absl::OkStatus();
}

}  // namespace seer
