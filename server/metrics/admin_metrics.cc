#include "server/metrics/admin_metrics.h"

namespace seer {
namespace {

constexpr const char* kResultNames[] = {"ok", "refused", "failed", "fallback"};

}  // namespace

AdminMetrics::AdminMetrics(const std::string& model) {
  const prometheus::Labels labels = {{"model", model}};
  auto& activations = prometheus::BuildCounter()
                          .Name("seer_gate_activations_total")
                          .Help("Changes of which gate sets requests use.")
                          .Labels(labels)
                          .Register(registry_);
  for (int i = 0; i < kNumActivationResults; ++i) {
    activations_[i] = &activations.Add({{"result", kResultNames[i]}});
  }
  upload_bytes_ = &prometheus::BuildCounter()
                       .Name("seer_calibration_upload_bytes_total")
                       .Help("Bytes appended to uploads.")
                       .Labels(labels)
                       .Register(registry_)
                       .Add({});
}

void AdminMetrics::CountActivation(ActivationResult result) {
  activations_[static_cast<int>(result)]->Increment();
}

void AdminMetrics::CountUploadBytes(int64_t num_bytes) {
  upload_bytes_->Increment(static_cast<double>(num_bytes));
}

}  // namespace seer
