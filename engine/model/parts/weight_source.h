// Where the values of a model's weights come from.
#ifndef SEER_ENGINE_MODEL_PARTS_WEIGHT_SOURCE_H_
#define SEER_ENGINE_MODEL_PARTS_WEIGHT_SOURCE_H_

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "engine/weights/weight_files.h"

namespace seer {

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  // Writes the weight that Hugging Face calls `name` to `to`, which has its
  // shape, on any device; rounds to nearest even where `to` is narrower.
  // Throws what ATen throws.
  virtual void Fill(const std::string& name, const at::Tensor& to) = 0;
};

// Those of a model's files, which are borrowed: each goes to its place without
// another copy in between.
class FileWeights final : public WeightSource {
 public:
  explicit FileWeights(const WeightFiles* files) : files_(files) {}
  void Fill(const std::string& name, const at::Tensor& to) override;

 private:
  const WeightFiles* const files_;
};

// Random ones of a size that keeps a forward pass finite: norms are 1, the
// others normal with the variance 1 / columns. A seed gives the same values
// again on a device of the same kind, filled in the same order.
class RandomWeights final : public WeightSource {
 public:
  explicit RandomWeights(uint64_t seed) : seed_(seed) {}
  void Fill(const std::string& name, const at::Tensor& to) override;

 private:
  const uint64_t seed_;
  std::optional<at::Generator> generator_;  // of the first tensor's device
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_PARTS_WEIGHT_SOURCE_H_
