#include "engine/model/parts/weight_source.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/normal.h>

#include <cmath>
#include <cstring>

namespace seer {
namespace {

at::ScalarType ScalarTypeOf(WeightDType dtype) {
  switch (dtype) {
    case WeightDType::kFloat32:
      return at::kFloat;
    case WeightDType::kFloat16:
      return at::kHalf;
    case WeightDType::kBFloat16:
      return at::kBFloat16;
  }
  return at::kFloat;
}

// The weight's own bytes, or a copy where they are not aligned for their type.
at::Tensor TensorOf(const Weight& weight) {
  const at::ScalarType type = ScalarTypeOf(weight.dtype);
  const auto address = reinterpret_cast<uintptr_t>(weight.values);
  if (address % at::elementSize(type) == 0) {
    return at::from_blob(const_cast<void*>(weight.values), weight.shape, type);
  }
  at::Tensor copy = at::empty(weight.shape, type);
  std::memcpy(copy.mutable_data_ptr(), weight.values, weight.num_bytes);
  return copy;
}

}  // namespace

void FileWeights::Fill(const std::string& name, const at::Tensor& to) {
  to.copy_(TensorOf(files_->Get(name)));
}

void RandomWeights::Fill(const std::string&, const at::Tensor& to) {
  if (to.dim() == 1) {
    to.fill_(1.0);
    return;
  }
  if (!generator_.has_value()) {
    generator_ = at::globalContext().defaultGenerator(to.device()).clone();
    generator_->set_current_seed(seed_);
  }
  to.normal_(0.0, 1.0 / std::sqrt(static_cast<double>(to.size(-1))),
             generator_);
}

}  // namespace seer
