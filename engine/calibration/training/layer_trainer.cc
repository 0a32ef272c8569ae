#include "engine/calibration/training/layer_trainer.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/calibration/network/gate_network.h"
#include "engine/calibration/network/initial_weights.h"
#include "engine/calibration/training/adam_w.h"
#include "engine/calibration/training/checkpoint_tensors.h"
#include "engine/calibration/training/gate_pass.h"
#include "engine/model/aten/aten.h"
#include "kernels/argument_checks.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

// Runs `fn` as all of a trainer's work on tensors runs.
template <typename Fn>
auto OnTensors(Fn fn) -> decltype(fn()) {
  return CatchingExceptions("calibrating a gate", [&fn] {
    const c10::InferenceMode inference;
    return fn();
  });
}

std::vector<at::Tensor> AsList(const GateParameters& parameters) {
  if (!parameters.is_double()) return {parameters.linear_k};
  return {parameters.linear_q, parameters.linear_k};
}

absl::Status CheckOptions(const LayerTrainerOptions& options) {
  const GateShape& shape = options.shape;
  SEER_RETURN_IF_ERROR(CheckHeads(shape.num_query_heads, shape.num_kv_heads));
  if (shape.head_dim < 2 || shape.head_dim % 2 != 0) {
    return absl::InvalidArgumentError("calibration: head_dim must be even");
  }
  if (options.layer < 0 || options.layer >= shape.num_layers) {
    return absl::InvalidArgumentError("calibration: there is no such layer");
  }
  if (options.design.query_pools.size() == 0 ||
      options.design.key_pools.size() == 0) {
    return absl::InvalidArgumentError("calibration: a design without pools");
  }
  return options.training.Validate();
}

// Positions of the blocks' first tokens, in a table of all positions.
at::Tensor AtBlocks(const float* table, const RopeTable& rope,
                    const Device& device) {
  return ViewOf(table, {rope.num_positions, rope.head_dim / 2}, at::kFloat,
                device)
      .slice(0, 0, rope.num_positions, kBlockSize);
}

GateParameters MakeInitialWeights(const LayerTrainerOptions& options,
                                  at::Device device) {
  const GateShape& shape = options.shape;
  const auto make = [&](bool of_queries, int64_t num_heads, int num_pools) {
    const std::vector<float> values =
        InitialWeights({options.training.seed, options.layer, of_queries},
                       num_heads * num_pools * shape.head_dim * shape.head_dim);
    at::Tensor host = at::empty(
        {num_heads, int64_t{num_pools} * shape.head_dim, shape.head_dim},
        at::kFloat);
    std::memcpy(host.mutable_data_ptr(), values.data(), host.nbytes());
    return host.to(device);
  };
  GateParameters weights;
  if (options.is_double()) {
    weights.linear_q =
        make(true, shape.num_query_heads, options.design.query_pools.size());
  }
  weights.linear_k = make(
      false, options.is_double() ? shape.num_kv_heads : shape.num_query_heads,
      options.design.key_pools.size());
  return weights;
}

std::vector<uint8_t> BytesOf(const at::Tensor& weights, DType dtype) {
  const at::Tensor host = weights.to(ScalarTypeOf(dtype)).cpu().contiguous();
  std::vector<uint8_t> bytes(host.nbytes());
  std::memcpy(bytes.data(), host.const_data_ptr(), bytes.size());
  return bytes;
}

}  // namespace

struct LayerTrainer::Tensors {
  GateNetwork network;
  AdamWState adam_w;

  explicit Tensors(GateNetwork the_network)
      : network(std::move(the_network)), adam_w(AsList(network.weights)) {}

  // By name, in a fixed order.
  std::vector<std::pair<std::string, at::Tensor>> Named() const {
    std::vector<std::string> names = {"linear_k"};
    if (network.weights.is_double()) names.insert(names.begin(), "linear_q");
    const std::vector<at::Tensor> weights = AsList(network.weights);
    std::vector<std::pair<std::string, at::Tensor>> named;
    for (size_t i = 0; i < names.size(); ++i) {
      named.emplace_back(names[i], weights[i]);
      named.emplace_back(names[i] + ".first_moment", adam_w.first_moments[i]);
      named.emplace_back(names[i] + ".second_moment", adam_w.second_moments[i]);
    }
    return named;
  }
};

struct LayerTrainer::Step {
  int64_t number;
  GateParameters gradients;
  GatePass pass;
};

LayerTrainer::LayerTrainer(const LayerTrainerOptions& options, Device* device)
    : options_(options), device_(device) {}

LayerTrainer::~LayerTrainer() = default;

absl::StatusOr<std::unique_ptr<LayerTrainer>> LayerTrainer::Create(
    const LayerTrainerOptions& options, const RopeTable& rope, Device* device) {
  SEER_RETURN_IF_ERROR(CheckOptions(options));
  SEER_RETURN_IF_ERROR(CheckRopeShape(rope, options.shape.head_dim));
  std::unique_ptr<LayerTrainer> trainer(new LayerTrainer(options, device));
  SEER_RETURN_IF_ERROR(OnTensors([&] {
    GateNetwork network;
    network.shape = options.shape;
    network.design = options.design;
    network.weights = MakeInitialWeights(options, AtenDevice(*device));
    network.cos = AtBlocks(rope.cos, rope, *device);
    network.sin = AtBlocks(rope.sin, rope, *device);
    trainer->tensors_ = std::make_unique<Tensors>(std::move(network));
    return absl::OkStatus();
  }));
  return trainer;
}

int64_t LayerTrainer::next_step() const { return tensors_->adam_w.num_updates; }

const GateNetwork& LayerTrainer::network() const { return tensors_->network; }

absl::Status LayerTrainer::BeginStep(int64_t step,
                                     std::vector<int64_t> sequence_lens) {
  step_.reset();
  if (step != next_step() || step >= options_.training.schedule.num_steps) {
    return absl::InvalidArgumentError(
        absl::StrCat("calibration: step ", step, ": the next is ", next_step(),
                     " of ", options_.training.schedule.num_steps));
  }
  const GateNetwork& network = tensors_->network;
  SEER_RETURN_IF_ERROR(GatePass::Check(network, sequence_lens));
  return OnTensors([&] {
    step_.reset(new Step{step, network.weights.ZerosLike(),
                         GatePass(network, options_.training.loss,
                                  std::move(sequence_lens), device_)});
    return absl::OkStatus();
  });
}

absl::Status LayerTrainer::AddRange(const TileRange& range) {
  if (step_ == nullptr) {
    return absl::FailedPreconditionError("calibration: no step is under way");
  }
  const absl::Status status =
      OnTensors([&] { return step_->pass.AddRange(range, &step_->gradients); });
  if (!status.ok()) step_.reset();
  return status;
}

absl::Status LayerTrainer::EndSequence() {
  if (step_ == nullptr) {
    return absl::FailedPreconditionError("calibration: no step is under way");
  }
  const absl::Status status =
      OnTensors([&] { return step_->pass.EndSequence(&step_->gradients); });
  if (!status.ok()) step_.reset();
  return status;
}

absl::Status LayerTrainer::Update(double learning_rate, StepResult* result) {
  const auto diverged = [this](const char* what) {
    return absl::AbortedError(
        absl::StrCat("training diverged: layer ", options_.layer, ", step ",
                     step_->number, ": ", what, " not finite"));
  };
  const std::vector<at::Tensor> gradients = AsList(step_->gradients);
  const at::Tensor numbers =
      at::stack({step_->pass.loss(), GradientNorm(gradients)}).cpu();
  result->loss = numbers[0].item<double>();
  result->gradient_norm = numbers[1].item<double>();
  if (!std::isfinite(result->loss)) return diverged("the loss is");
  if (!std::isfinite(result->gradient_norm)) return diverged("a gradient is");
  UpdateWeights(options_.training.adam_w, learning_rate, result->gradient_norm,
                gradients, &tensors_->adam_w,
                AsList(tensors_->network.weights));
  return absl::OkStatus();
}

absl::StatusOr<StepResult> LayerTrainer::EndStep() {
  if (step_ == nullptr || !step_->pass.is_complete()) {
    step_.reset();
    return absl::FailedPreconditionError(
        "calibration: a step ends before its last sequence");
  }
  StepResult result;
  result.learning_rate = options_.training.schedule.At(step_->number);
  const absl::Status status =
      OnTensors([&] { return Update(result.learning_rate, &result); });
  step_.reset();
  SEER_RETURN_IF_ERROR(status);
  return result;
}

void LayerTrainer::AbandonStep() { step_.reset(); }

absl::Status LayerTrainer::Save(Checkpoint* checkpoint) const {
  if (step_ != nullptr) {
    return absl::FailedPreconditionError("calibration: a step is under way");
  }
  return OnTensors([&] {
    const std::string prefix = absl::StrCat("layers.", options_.layer, ".");
    for (const auto& [name, tensor] : tensors_->Named()) {
      (*checkpoint)[prefix + name] = ToCheckpoint(tensor);
    }
    (*checkpoint)[prefix + "num_updates"] =
        ToCheckpoint(at::full({1}, next_step(), at::kLong));
    return absl::OkStatus();
  });
}

absl::Status LayerTrainer::Load(const Checkpoint& checkpoint) {
  step_.reset();
  return OnTensors([&]() -> absl::Status {
    const std::string prefix = absl::StrCat("layers.", options_.layer, ".");
    SEER_ASSIGN_OR_RETURN(const at::Tensor num_updates,
                          FromCheckpoint(checkpoint, prefix + "num_updates",
                                         at::empty({1}, at::kLong)));
    const int64_t step = num_updates.item<int64_t>();
    if (step < 0 || step > options_.training.schedule.num_steps) {
      return absl::InvalidArgumentError(absl::StrCat(
          "checkpoint: ", prefix, "num_updates: not of this schedule"));
    }
    std::vector<at::Tensor> loaded;
    for (const auto& [name, tensor] : tensors_->Named()) {
      SEER_ASSIGN_OR_RETURN(loaded.emplace_back(),
                            FromCheckpoint(checkpoint, prefix + name, tensor));
    }
    const auto named = tensors_->Named();
    for (size_t i = 0; i < named.size(); ++i) {
      at::Tensor(named[i].second).copy_(loaded[i]);
    }
    tensors_->adam_w.num_updates = step;
    return absl::OkStatus();
  });
}

absl::StatusOr<AttnGateWeights> LayerTrainer::Export() const {
  return OnTensors([&]() -> absl::StatusOr<AttnGateWeights> {
    const GateParameters& weights = tensors_->network.weights;
    AttnGateWeights exported;
    if (weights.is_double()) {
      exported.linear_q = BytesOf(weights.linear_q, options_.shape.dtype);
    }
    exported.linear_k = BytesOf(weights.linear_k, options_.shape.dtype);
    return exported;
  });
}

}  // namespace seer
