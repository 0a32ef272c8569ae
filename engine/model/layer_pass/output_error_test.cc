#include "engine/model/layer_pass/output_error.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/aten/aten.h"
#include "engine/model/layer_pass/layer_pass.h"
#include "engine/model/llama_model.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {
namespace {

constexpr int64_t kTokens = 300;
constexpr int64_t kTiles = NumBlocks(kTokens);
constexpr int32_t kHeads = 4;
constexpr int32_t kKvHeads = 2;
constexpr int32_t kDim = 64;
constexpr int32_t kHidden = 64;
constexpr int32_t kLayers = 2;

// Which blocks each (tile, head) of the sequence reads, a bit a block.
using Sets = std::vector<uint64_t>;  // [kTiles, kHeads]

// Every visible block with this chance.
Sets RandomSets(double chance, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::bernoulli_distribution is_read(chance);
  Sets sets(kTiles * kHeads);
  for (int64_t row = 0; row < kTiles * kHeads; ++row) {
    for (int64_t j = 0; j <= row / kHeads; ++j) {
      if (is_read(random)) sets[row] |= uint64_t{1} << j;
    }
  }
  return sets;
}

// What attention of one layer reads, and what its output goes through.
struct LayerInputs {
  std::vector<double> queries;       // [kTokens, kHeads, kDim], roped
  std::vector<double> keys, values;  // [kTokens, kKvHeads, kDim], keys roped
  std::vector<double> projection;    // [kHidden, kHeads * kDim]
};

// Of a sequence whose steps were recorded.
LayerInputs InputsOf(const ModelRunner& runner, int32_t sequence,
                     const WeightFiles& weights, int32_t layer) {
  const GateShape shape = runner.gate_shape();
  const SequenceTokens tokens =
      RecordedPrompt(shape, runner.sequence(sequence), layer);
  RopeConfig rope;
  PagedSequences pages({kHeads, kKvHeads, kDim}, shape.dtype, {tokens}, rope,
                       3);
  const PreparedStep step =
      pages.Prepare(Backend::kReference, pages.WholePrompts());
  LayerInputs inputs;
  for (int64_t i = 0; i < kTokens * kHeads * kDim; ++i) {
    inputs.queries.push_back(step.roped_queries.Get(i));
  }
  const PagedKv kv = pages.kv();
  TypedArray elements(kv.dtype, kv.KeyOffset(kv.num_pages, 0));
  std::memcpy(elements.data(), kv.pages,
              kv.KeyOffset(kv.num_pages, 0) * SizeOf(kv.dtype));
  for (int64_t row = 0; row < kTokens; ++row) {
    for (int32_t head = 0; head < kKvHeads; ++head) {
      const int64_t at = kv.KeyOffset(pages.pages(0)[row / kBlockSize], head) +
                         row % kBlockSize * kDim;
      for (int32_t d = 0; d < kDim; ++d) {
        inputs.keys.push_back(elements.Get(at + d));
        inputs.values.push_back(
            tokens.values[(row * kKvHeads + head) * kDim + d]);
      }
    }
  }
  const Weight& weight = weights.Get("model.layers." + std::to_string(layer) +
                                     ".self_attn.o_proj.weight");
  TypedArray values(DType::kBFloat16, weight.num_values);
  std::memcpy(values.data(), weight.values, weight.num_bytes);
  for (int64_t i = 0; i < weight.num_values; ++i) {
    inputs.projection.push_back(values.Get(i));
  }
  return inputs;
}

// One row of one head over a set.
struct RowOutput {
  std::vector<double> value = std::vector<double>(kDim);
  std::vector<double> magnitude = std::vector<double>(kDim);  // of |values|
  double score = 0.0;  // the largest sum of |q k|, scaled
};

RowOutput Attend(const LayerInputs& in, int64_t row, int32_t head,
                 uint64_t set) {
  const double* const q = &in.queries[(row * kHeads + head) * kDim];
  const auto place = [&](int64_t key) {
    return (key * kKvHeads + head / (kHeads / kKvHeads)) * kDim;
  };
  RowOutput out;
  std::vector<std::pair<int64_t, double>> scores;
  for (int64_t key = 0; key <= row; ++key) {
    if (((set >> (key / kBlockSize)) & 1) == 0) continue;
    double score = 0.0;
    double magnitude = 0.0;
    for (int32_t d = 0; d < kDim; ++d) {
      score += q[d] * in.keys[place(key) + d] / std::sqrt(kDim);
      magnitude += std::abs(q[d] * in.keys[place(key) + d]) / std::sqrt(kDim);
    }
    scores.push_back({key, score});
    out.score = std::max(out.score, magnitude);
  }
  double sum = 0.0;
  for (auto& [key, score] : scores) sum += score = std::exp(score);
  for (const auto& [key, weight] : scores) {
    for (int32_t d = 0; d < kDim; ++d) {
      const double part = weight / sum * in.values[place(key) + d];
      out.value[d] += part;
      out.magnitude[d] += std::abs(part);
    }
  }
  return out;
}

double Length(const std::vector<double>& x) {
  double sum = 0.0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

// A sum of squared errors, and how far rounding may lead from it.
struct Expected {
  double error = 0.0;
  double bound = 0.0;
};

// Of one head, in plain arithmetic.
Expected ErrorOf(const LayerInputs& in, int32_t head, const Sets& sets,
                 DType dtype) {
  constexpr double kUnit = 0x1p-24;
  // Of probabilities and of what is written.
  const double of_dtype = dtype == DType::kFloat32 ? 2 * kUnit : 2 * 0x1p-8;
  double projection_length = 0.0;
  for (int64_t i = 0; i < kHidden; ++i) {
    for (int32_t d = 0; d < kDim; ++d) {
      const double w = in.projection[i * kHeads * kDim + head * kDim + d];
      projection_length += w * w;
    }
  }
  projection_length = std::sqrt(projection_length);
  Expected sum;
  for (int64_t row = 0; row < kTokens; ++row) {
    const RowOutput dense = Attend(in, row, head, ~uint64_t{0});
    const RowOutput sparse =
        Attend(in, row, head, sets[row / kBlockSize * kHeads + head]);
    std::vector<double> difference(kDim);
    for (int32_t d = 0; d < kDim; ++d) {
      difference[d] = sparse.value[d] - dense.value[d];
    }
    std::vector<double> written(kHidden);
    for (int64_t i = 0; i < kHidden; ++i) {
      for (int32_t d = 0; d < kDim; ++d) {
        written[i] +=
            difference[d] * in.projection[i * kHeads * kDim + head * kDim + d];
      }
    }
    // Scores, their exponents and the sums over keys, relative to the values'
    // magnitudes; then the products with the projection.
    const double relative =
        of_dtype + kUnit * (2 * (kDim + 2) * dense.score + 2 * (kTokens + 8));
    const double moved = relative *
                         (Length(dense.magnitude) + Length(sparse.magnitude)) *
                         projection_length;
    const double length = Length(written);
    const double products = (Length(difference) * projection_length + moved) *
                            (Length(difference) * projection_length + moved);
    sum.error += length * length;
    sum.bound += 2 * length * moved + moved * moved +
                 kUnit * (2 * kDim + kHidden + 4) * products;
  }
  return sum;
}

// Sets of some tiles on a device.
struct DeviceSets {
  at::Tensor bits, counts;
  BlockSets sets;
};

DeviceSets SetsOf(const Sets& sets, int64_t first, int64_t last,
                  const Device& device) {
  DeviceSets out;
  out.bits = at::empty({last - first, kHeads, 1}, at::kLong);
  out.counts = at::empty({last - first, kHeads}, at::kInt);
  for (int64_t i = 0; i < (last - first) * kHeads; ++i) {
    const uint64_t bits = sets[first * kHeads + i];
    out.bits.mutable_data_ptr<int64_t>()[i] = static_cast<int64_t>(bits);
    out.counts.mutable_data_ptr<int32_t>()[i] = __builtin_popcountll(bits);
  }
  out.bits = out.bits.to(AtenDevice(device));
  out.counts = out.counts.to(AtenDevice(device));
  out.sets.bits = static_cast<uint64_t*>(out.bits.mutable_data_ptr());
  out.sets.counts = out.counts.mutable_data_ptr<int32_t>();
  out.sets.num_words = 1;
  out.sets.num_query_heads = kHeads;
  return out;
}

class OutputErrorTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    options_.num_layers = kLayers;
    options_.head_dim = kDim;
    folder_ = testing::TempDir() + "output_error_" + GetParam();
    mkdir(folder_.c_str(), 0700);
    ASSERT_TRUE(WriteTinyLlama(folder_, options_).ok());
  }

  void Load(DType dtype) {
    runner_ = *ModelRunner::Load(folder_, dtype, 40, GetParam());
    std::mt19937_64 random(5);
    tokens_.resize(kTokens);
    for (int32_t& token : tokens_) token = random() % kTinyLlamaVocabSize;
    dense_ = runner_->Add(tokens_, kTokens, {}, nullptr);
    // Nobody steps this one: its pages are free for passes.
    const int32_t spare = runner_->Add(tokens_, 1, {}, nullptr);
    pages_ = runner_->cache().PlanesOf(runner_->sequence(spare).pages);
  }

  std::unique_ptr<LayerPass> Begin() {
    auto pass = runner_->model().BeginLayerPass(
        tokens_, runner_->cache().AllPlanes(), pages_);
    EXPECT_TRUE(pass.ok()) << pass.status();
    return *std::move(pass);
  }

  // [kLayers][kHeads]: what a pass over these ranges adds up.
  std::vector<std::vector<double>> Errors(const std::vector<int64_t>& ranges,
                                          const Sets& sets, bool mass) {
    const Device& device = runner_->device();
    const std::unique_ptr<LayerPass> pass = Begin();
    std::vector<std::vector<double>> errors;
    for (int32_t layer = 0; layer < kLayers; ++layer) {
      const at::Tensor sums = at::zeros(
          {kHeads}, at::TensorOptions(at::kDouble).device(AtenDevice(device)));
      int64_t first = 0;
      for (const int64_t tiles : ranges) {
        LayerRangeView view;
        EXPECT_TRUE(
            pass->Run(layer, first, first + tiles, {false, mass, true}, &view)
                .ok());
        const DeviceSets range = SetsOf(sets, first, first + tiles, device);
        const absl::Status status =
            pass->AddOutputErrors(range.sets, sums.mutable_data_ptr<double>());
        EXPECT_TRUE(status.ok()) << status;
        first += tiles;
      }
      const at::Tensor host = sums.cpu();
      const double* const data = host.const_data_ptr<double>();
      errors.push_back({data, data + kHeads});
    }
    return errors;
  }

  TinyLlamaOptions options_;
  std::string folder_;
  std::unique_ptr<ModelRunner> runner_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> pages_;
  int32_t dense_ = 0;
};

TEST_P(OutputErrorTest, IsWhatPlainArithmeticGives) {
  const auto config = LoadModelConfig(folder_);
  ASSERT_TRUE(config.ok()) << config.status();
  const auto weights = WeightFiles::Open(folder_, *config);
  ASSERT_TRUE(weights.ok()) << weights.status();
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    Load(dtype);
    ASSERT_TRUE(runner_->Step({{dense_, static_cast<int32_t>(kTokens)}}).ok());
    // A GPU's attention with targets rounds otherwise, and what it writes is
    // read by the next layer.
    const bool same_inputs = GetParam() == "cpu" || dtype == DType::kFloat32;
    for (int32_t layer = 0; layer < (same_inputs ? kLayers : 1); ++layer) {
      const LayerInputs inputs = InputsOf(*runner_, dense_, **weights, layer);
      for (const double chance : {0.0, 0.2, 0.6, 1.0}) {
        const Sets sets = RandomSets(chance, 11);
        std::vector<Expected> expected;
        for (int32_t head = 0; head < kHeads; ++head) {
          expected.push_back(ErrorOf(inputs, head, sets, dtype));
        }
        for (const std::vector<int64_t>& ranges :
             {std::vector<int64_t>{5}, {2, 2, 1}, {1, 4}}) {
          const auto errors = Errors(ranges, sets, /*mass=*/true);
          for (int32_t head = 0; head < kHeads; ++head) {
            SCOPED_TRACE(testing::Message()
                         << "layer " << layer << ", head " << head
                         << ", chance " << chance << ", range " << ranges[0]);
            const Expected& want = expected[head];
            EXPECT_NEAR(errors[layer][head], want.error, want.bound);
            // Else the bound would say nothing.
            if (dtype == DType::kFloat32 && chance < 1.0) {
              EXPECT_LT(want.bound, want.error / 16);
            } else if (chance == 0.0) {
              EXPECT_LT(want.bound, want.error);
            }
          }
        }
      }
    }
  }
}

TEST_P(OutputErrorTest, OfAllBlocksIsNone) {
  const Sets all = RandomSets(1.0, 1);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    Load(dtype);
    const std::vector<double> none(kHeads, 0.0);
    for (const std::vector<double>& errors :
         Errors({3, 2}, all, /*mass=*/false)) {
      EXPECT_EQ(errors, none);
    }
  }
}

TEST_P(OutputErrorTest, RefusesWhatHasNoOutput) {
  Load(DType::kBFloat16);
  const Device& device = runner_->device();
  const std::unique_ptr<LayerPass> pass = Begin();
  const at::Tensor sums = at::zeros(
      {kHeads}, at::TensorOptions(at::kDouble).device(AtenDevice(device)));
  double* const to = sums.mutable_data_ptr<double>();
  const DeviceSets all = SetsOf(RandomSets(1.0, 1), 0, kTiles, device);
  const auto add = [&](const BlockSets& sets, double* sums) {
    return pass->AddOutputErrors(sets, sums).code();
  };
  constexpr auto kEarly = absl::StatusCode::kFailedPrecondition;
  constexpr auto kRefused = absl::StatusCode::kInvalidArgument;
  LayerRangeView view;
  EXPECT_EQ(add(all.sets, to), kEarly);
  ASSERT_TRUE(pass->Run(0, 0, kTiles, {false, true, false}, &view).ok());
  EXPECT_EQ(add(all.sets, to), kEarly);
  ASSERT_TRUE(pass->Run(1, 0, kTiles, {false, true, true}, &view).ok());
  EXPECT_EQ(add(all.sets, nullptr), kRefused);
  EXPECT_EQ(add(BlockSets(), to), kRefused);
  BlockSets sets = all.sets;
  sets.num_words = 0;
  EXPECT_EQ(add(sets, to), kRefused);
  sets = all.sets;
  sets.num_query_heads = kHeads / 2;
  EXPECT_EQ(add(sets, to), kRefused);
  EXPECT_EQ(add(all.sets, to), absl::StatusCode::kOk);
}

INSTANTIATE_TEST_SUITE_P(Devices, OutputErrorTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
