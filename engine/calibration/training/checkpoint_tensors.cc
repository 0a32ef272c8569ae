#include "engine/calibration/training/checkpoint_tensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace seer {
namespace {

SafetensorsDtype DtypeOf(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kLong ? SafetensorsDtype::kI64
                                           : SafetensorsDtype::kF32;
}

}  // namespace

CheckpointTensor ToCheckpoint(const at::Tensor& tensor) {
  const at::Tensor host = tensor.cpu().contiguous();
  CheckpointTensor saved;
  saved.dtype = DtypeOf(tensor);
  saved.shape = host.sizes().vec();
  saved.bytes.resize(host.nbytes());
  std::memcpy(saved.bytes.data(), host.const_data_ptr(), saved.bytes.size());
  return saved;
}

absl::StatusOr<at::Tensor> FromCheckpoint(const Checkpoint& checkpoint,
                                          const std::string& name,
                                          const at::Tensor& like) {
  const auto fail = [&name](const char* what) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint: ", name, ": ", what));
  };
  const auto it = checkpoint.find(name);
  if (it == checkpoint.end()) return fail("missing");
  const CheckpointTensor& saved = it->second;
  at::Tensor tensor = at::empty(like.sizes(), like.scalar_type());
  if (saved.dtype != DtypeOf(like) || saved.shape != like.sizes().vec() ||
      saved.bytes.size() != tensor.nbytes()) {
    return fail("another type or shape");
  }
  std::memcpy(tensor.mutable_data_ptr(), saved.bytes.data(),
              saved.bytes.size());
  if (tensor.is_floating_point() && !tensor.isfinite().all().item<bool>()) {
    return fail("a value that is not finite");
  }
  return tensor;
}

}  // namespace seer
