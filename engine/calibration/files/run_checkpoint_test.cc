#include "engine/calibration/files/run_checkpoint.h"

#include <string>
#include <vector>

#include "engine/errors.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

class Sequences final : public TokenSequences {
 public:
  explicit Sequences(TokenId first) : first_(first) {}
  int64_t num_sequences() const override { return 3; }
  absl::StatusOr<std::vector<TokenId>> Read(int64_t index) const override {
    return std::vector<TokenId>(128, first_ + static_cast<TokenId>(index));
  }

 private:
  const TokenId first_;
};

RunState SomeState() {
  RunState state;
  state.step = 7;
  state.validated_step = 5;
  state.tensors["layers.0.linear_k"] = {
      SafetensorsDtype::kF32, {2}, {1, 2, 3, 4, 5, 6, 7, 8}};
  state.tensors["history.empty"] = {SafetensorsDtype::kF64, {4, 0}, {}};
  return state;
}

TEST(RunCheckpointTest, EveryDamagedByteIsFound) {
  const std::string bytes = *SerializeRunState(SomeState(), "a");
  const auto state = ParseRunState(bytes, "a");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->step, 7);
  EXPECT_EQ(state->validated_step, 5);
  ASSERT_EQ(state->tensors.size(), 2u);
  EXPECT_EQ(state->tensors.at("layers.0.linear_k").bytes,
            SomeState().tensors.at("layers.0.linear_k").bytes);
  EXPECT_EQ(*SerializeRunState(*state, "a"), bytes);
  const auto is_damaged = [](const absl::StatusOr<RunState>& parsed) {
    return parsed.status().code() == absl::StatusCode::kInvalidArgument &&
           ReasonOf(parsed.status()).has_value() &&
           ReasonOf(parsed.status())->reason == "CHECKPOINT_DAMAGED";
  };
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] ^= 1;
    // Blanks of the header say nothing.
    const auto parsed = ParseRunState(damaged, "a");
    EXPECT_TRUE(is_damaged(parsed) || (bytes[i] == ' ' && parsed.ok())) << i;
    EXPECT_TRUE(is_damaged(ParseRunState(bytes.substr(0, i), "a"))) << i;
  }
}

TEST(RunCheckpointTest, OtherRunsAreRefused) {
  const CalibrationOptions options;
  const auto identity = [](const CalibrationOptions& options, TokenId first,
                           const RunEngine& engine) {
    return *RunIdentity(options, Sequences(first), engine);
  };
  const RunEngine engine = {"model", DType::kFloat32, "cpu"};
  const std::string own = identity(options, 5, engine);
  EXPECT_EQ(identity(options, 5, engine), own);
  std::vector<std::string> others = {
      identity(options, 6, engine),
      identity(options, 5, {"other", DType::kFloat32, "cpu"}),
      identity(options, 5, {"model", DType::kBFloat16, "cpu"}),
      identity(options, 5, {"model", DType::kFloat32, "cuda"})};
  CalibrationOptions changed = options;
  changed.seed = uint64_t{1} << 40;
  others.push_back(identity(changed, 5, engine));
  changed = options;
  changed.learning_rate = 1.0000000001e-3;
  others.push_back(identity(changed, 5, engine));
  for (const auto target :
       {CalibrationTarget::kMass, CalibrationTarget::kRootMass}) {
    changed = options;
    changed.target = target;
    others.push_back(identity(changed, 5, engine));
  }
  for (const std::string& other : others) EXPECT_NE(other, own);
  // What does not change the result may change.
  changed = options;
  changed.device_share = 0.9;
  EXPECT_EQ(identity(changed, 5, engine), own);

  // What was trained on the mass goes on neither with its roots nor the max.
  const std::string mass = others[others.size() - 2];
  const std::string bytes = *SerializeRunState(SomeState(), mass);
  EXPECT_TRUE(ParseRunState(bytes, mass).ok());
  for (const std::string& other : {own, others.back()}) {
    const absl::Status status = ParseRunState(bytes, other).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(ReasonOf(status).has_value());
  }
}

}  // namespace
}  // namespace seer
