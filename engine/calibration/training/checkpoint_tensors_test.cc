#include "engine/calibration/training/checkpoint_tensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <limits>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(CheckpointTensorsTest, ReturnsEveryBit) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  const at::Tensor weights =
      at::tensor({0.1f, -0.0f, tiny, 3e38f}).view({2, 2});
  const at::Tensor number = at::tensor({int64_t{1} << 40});
  Checkpoint checkpoint;
  // A view of another order is saved by its own.
  checkpoint["w"] = ToCheckpoint(weights.t());
  checkpoint["n"] = ToCheckpoint(number);
  EXPECT_EQ(checkpoint["w"].dtype, SafetensorsDtype::kF32);
  EXPECT_EQ(checkpoint["n"].dtype, SafetensorsDtype::kI64);
  EXPECT_EQ(checkpoint["w"].shape, (std::vector<int64_t>{2, 2}));
  const auto back = FromCheckpoint(checkpoint, "w", weights);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(ToCheckpoint(*back).bytes,
            ToCheckpoint(weights.t().contiguous()).bytes);
  EXPECT_EQ(FromCheckpoint(checkpoint, "n", number)->item<int64_t>(),
            int64_t{1} << 40);
}

TEST(CheckpointTensorsTest, RefusesByName) {
  const at::Tensor weights = at::tensor({0.1f, 0.2f});
  Checkpoint checkpoint;
  checkpoint["w"] = ToCheckpoint(weights);
  const auto message = [&](const char* name, const at::Tensor& like) {
    const absl::Status status = FromCheckpoint(checkpoint, name, like).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(name), absl::string_view::npos) << status;
  };
  message("v", weights);
  message("w", at::empty({3}));
  message("w", at::empty({2}, at::kLong));
  checkpoint["w"].bytes.pop_back();
  message("w", weights);
  checkpoint["w"] =
      ToCheckpoint(at::tensor({0.1f, std::numeric_limits<float>::infinity()}));
  message("w", weights);
}

}  // namespace
}  // namespace seer
