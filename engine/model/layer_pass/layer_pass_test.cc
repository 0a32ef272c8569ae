#include "engine/model/layer_pass/layer_pass.h"

#include <ATen/ops/zeros.h>
#include <c10/core/Allocator.h>
#include <malloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/llama_model.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/pooling_case.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {
namespace {

// Ranges of a sequence, each so many tiles long.
using Ranges = std::vector<int64_t>;

std::vector<int32_t> RandomIds(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = random() % kTinyLlamaVocabSize;
  return tokens;
}

// What one layer of a sequence of S tokens in n blocks has.
struct LayerOutputs {
  std::vector<float> keys, values;  // [S, Hk, D], keys roped
  std::vector<float> key_pools;     // [n, Hk, kNumPools, D]
  std::vector<float> query_pools;   // [n, Hq, kNumPools, D]
  // [n, Hq, n], 0 past the visible blocks.
  std::vector<float> max_target, mass_target;
};

// Rows of `len` tokens out of pages that the host can read.
void AppendPage(const PagedKv& kv, int64_t page, int64_t len,
                LayerOutputs* out) {
  const int64_t size = SizeOf(kv.dtype);
  const int64_t page_elements =
      int64_t{2} * kv.num_kv_heads * kBlockSize * kv.head_dim;
  TypedArray elements(kv.dtype, page_elements);
  std::memcpy(elements.data(),
              static_cast<const char*>(kv.pages) + kv.KeyOffset(page, 0) * size,
              page_elements * size);
  const PagedKv one = kv;
  for (int64_t token = 0; token < len; ++token) {
    for (int32_t head = 0; head < kv.num_kv_heads; ++head) {
      for (int32_t d = 0; d < kv.head_dim; ++d) {
        const int64_t at = token * kv.head_dim + d;
        out->keys.push_back(elements.Get(one.KeyOffset(0, head) + at));
        out->values.push_back(elements.Get(one.ValueOffset(0, head) + at));
      }
    }
  }
  const float* pools = kv.pooled_keys + kv.PoolOffset(page, 0, 0);
  out->key_pools.insert(
      out->key_pools.end(), pools,
      pools + int64_t{kv.num_kv_heads} * kNumPools * kv.head_dim);
}

// Targets of tiles from `first_tile` on, [tiles, Hq, row_len], as rows of n.
void AppendTargets(const std::vector<float>& targets, int64_t first_tile,
                   int64_t num_heads, int64_t row_len, int64_t num_blocks,
                   std::vector<float>* out) {
  const int64_t num_rows = targets.size() / row_len;
  for (int64_t row = 0; row < num_rows; ++row) {
    const int64_t visible = first_tile + row / num_heads + 1;
    const auto begin = targets.begin() + row * row_len;
    out->insert(out->end(), begin, begin + visible);
    out->resize(out->size() + num_blocks - visible, 0.0f);
  }
}

// What the queries, keys and values that a dense step recorded make, through
// ops whose own tests compare them with their reference.
LayerOutputs OutputsOf(const GateShape& shape,
                       const ModelRunner::Sequence& sequence, int32_t layer,
                       Backend backend) {
  PagedSequences sequences(
      {shape.num_query_heads, shape.num_kv_heads, shape.head_dim}, shape.dtype,
      {RecordedPrompt(shape, sequence, layer)}, RopeConfig(), 3);
  const PreparedStep step =
      sequences.Prepare(Backend::kReference, sequences.WholePrompts());
  const int64_t blocks = NumBlocks(sequence.prompt_len);
  LayerOutputs out;
  for (int64_t block = 0; block < blocks; ++block) {
    AppendPage(
        sequences.kv(), sequences.pages(0)[block],
        std::min<int64_t>(kBlockSize, sequence.prompt_len - block * kBlockSize),
        &out);
  }
  out.query_pools = step.pooled_queries;
  std::vector<float> max(blocks * shape.num_query_heads * blocks);
  std::vector<float> mass(max.size());
  std::vector<PromptPart> parts;
  AttentionPoolingArgs args;
  args.attention.batch = step.batch.batch();
  args.attention.dtype = shape.dtype;
  args.attention.num_query_heads = shape.num_query_heads;
  args.attention.queries = step.roped_queries.data();
  args.attention.kv = sequences.kv();
  args.attention.plan = PlanAttention(args.attention.batch, &parts);
  args.attention.scale =
      static_cast<float>(1.0 / std::sqrt(1.0 * shape.head_dim));
  args.max_target = max.data();
  args.mass_target = mass.data();
  args.row_len = static_cast<int32_t>(blocks);
  const absl::Status status = PoolAttentionFromHost(backend, args);
  EXPECT_TRUE(status.ok()) << status;
  AppendTargets(max, 0, shape.num_query_heads, blocks, blocks, &out.max_target);
  AppendTargets(mass, 0, shape.num_query_heads, blocks, blocks,
                &out.mass_target);
  return out;
}

// A tiny model with a sequence, and pages of its cache for a pass of it.
class Passes {
 public:
  Passes(const std::string& device, DType dtype, int64_t num_tokens) {
    TinyLlamaOptions options;
    options.num_layers = 3;
    options.head_dim = 64;
    const std::string folder = testing::TempDir() + "layer_pass_" + device;
    mkdir(folder.c_str(), 0700);
    EXPECT_TRUE(WriteTinyLlama(folder, options).ok());
    runner_ = *ModelRunner::Load(folder, dtype, 100, device);
    tokens_ = RandomIds(num_tokens, 5);
    id_ = runner_->Add(tokens_, num_tokens, {}, nullptr);
    // Nobody steps this one: its pages are free for the pass.
    const int64_t pages = (num_tiles() + 2) / 3;
    const int32_t spare =
        runner_->Add(RandomIds(pages * kBlockSize, 1), 1, {}, nullptr);
    planes_ = runner_->cache().PlanesOf(runner_->sequence(spare).pages);
    neighbour_ = runner_->Add(RandomIds(900, 8), 40, {}, nullptr);
  }

  int64_t num_tiles() const {
    return NumBlocks(static_cast<int64_t>(tokens_.size()));
  }
  LlamaModel& model() { return runner_->model(); }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  const std::vector<int32_t>& planes() const { return planes_; }
  PagedKv kv() const { return runner_->cache().AllPlanes(); }
  std::unique_ptr<LayerPass> Begin() {
    auto pass = model().BeginLayerPass(tokens_, kv(), planes_);
    EXPECT_TRUE(pass.ok()) << pass.status();
    return *std::move(pass);
  }

  // A dense step for each range, and what each layer then had.
  std::vector<LayerOutputs> Forward(const Ranges& ranges) {
    int64_t row = 0;
    for (const int64_t tiles : ranges) {
      const int64_t rows =
          std::min<int64_t>(tiles * kBlockSize, tokens_.size() - row);
      EXPECT_TRUE(runner_->Step({{id_, static_cast<int32_t>(rows)}}).ok());
      row += rows;
    }
    std::vector<LayerOutputs> outputs;
    for (int32_t layer = 0; layer < 3; ++layer) {
      outputs.push_back(OutputsOf(runner_->gate_shape(), runner_->sequence(id_),
                                  layer, runner_->device().backend()));
    }
    return outputs;
  }

  // A pass over the ranges, between which steps of another sequence run.
  std::vector<LayerOutputs> Pass(const Ranges& ranges) {
    const std::unique_ptr<LayerPass> pass = Begin();
    std::vector<LayerOutputs> outputs(3);
    runner_->set_traces(false);
    EXPECT_TRUE(runner_->Step({{neighbour_, 40}}).ok());
    for (int32_t layer = 0; layer < 3; ++layer) {
      int64_t first = 0;
      for (const int64_t tiles : ranges) {
        LayerRangeView view;
        const absl::Status status =
            pass->Run(layer, first, first + tiles, {true, true, false}, &view);
        EXPECT_TRUE(status.ok()) << status;
        if (!status.ok()) return outputs;
        EXPECT_TRUE(runner_->Step({{neighbour_, 1}}).ok());
        Append(view, first, tiles, &outputs[layer]);
        first += tiles;
      }
      AppendPages(&outputs[layer]);
    }
    return outputs;
  }

 private:
  template <class T>
  std::vector<T> ToHost(const T* data, int64_t size) {
    const DeviceMemory host = *runner_->device().AllocateHost(size * sizeof(T));
    EXPECT_TRUE(
        runner_->device().Copy(host.data(), data, size * sizeof(T)).ok());
    EXPECT_TRUE(runner_->device().Synchronize().ok());
    const T* values = static_cast<const T*>(host.data());
    return std::vector<T>(values, values + size);
  }

  void Append(const LayerRangeView& view, int64_t first, int64_t tiles,
              LayerOutputs* out) {
    const ModelConfig& config = model().config();
    const int64_t heads = config.num_query_heads;
    EXPECT_EQ(view.row_len, first + tiles);
    const std::vector<float> pools = ToHost(
        view.pooled_queries, tiles * heads * kNumPools * config.head_dim);
    out->query_pools.insert(out->query_pools.end(), pools.begin(), pools.end());
    const int64_t size = tiles * heads * view.row_len;
    AppendTargets(ToHost(view.max_target, size), first, heads, view.row_len,
                  num_tiles(), &out->max_target);
    AppendTargets(ToHost(view.mass_target, size), first, heads, view.row_len,
                  num_tiles(), &out->mass_target);
    gathered_ = ToHost(view.pooled_keys, view.row_len * config.num_kv_heads *
                                             kNumPools * config.head_dim);
  }

  // Of the pages as they are at a layer's end; the pools that the last view
  // gathered are theirs.
  void AppendPages(LayerOutputs* out) {
    PagedKv page = kv();
    const int64_t page_bytes = page.KeyOffset(1, 0) * SizeOf(page.dtype);
    for (int64_t block = 0; block < num_tiles(); ++block) {
      const std::vector<char> elements = ToHost(
          static_cast<const char*>(kv().pages) + planes_[block] * page_bytes,
          page_bytes);
      std::vector<float> pools =
          ToHost(kv().pooled_keys + kv().PoolOffset(planes_[block], 0, 0),
                 kv().PoolOffset(1, 0, 0));
      page.pages = const_cast<char*>(elements.data());
      page.pooled_keys = pools.data();
      AppendPage(
          page, 0,
          std::min<int64_t>(kBlockSize, tokens_.size() - block * kBlockSize),
          out);
    }
    EXPECT_TRUE(gathered_ == out->key_pools);
  }

  std::unique_ptr<ModelRunner> runner_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> planes_;
  int32_t id_ = 0;
  int32_t neighbour_ = 0;
  std::vector<float> gathered_;
};

class LayerPassTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
};

using Output = std::vector<float> LayerOutputs::*;
constexpr std::pair<const char*, Output> kOutputs[] = {
    {"keys", &LayerOutputs::keys},
    {"values", &LayerOutputs::values},
    {"key pools", &LayerOutputs::key_pools},
    {"query pools", &LayerOutputs::query_pools},
    {"max target", &LayerOutputs::max_target},
    {"mass target", &LayerOutputs::mass_target}};

// Products of one shape round alike, so a pass equals steps of the same rows
// bit for bit; 1041 rows also cross the MLP's blocks.
TEST_P(LayerPassTest, EqualsDenseStepsOfTheSameRows) {
  const std::vector<std::pair<int64_t, Ranges>> cases = {
      {1, {1}},         {64, {1}},
      {65, {2}},        {65, {1, 1}},
      {128, {2}},       {500, {1, 1, 1, 1, 1, 1, 1, 1}},
      {500, {3, 3, 2}}, {500, {1, 4, 2, 1}},
      {1041, {17}},     {1041, {5, 5, 5, 2}}};
  for (const auto& [num_tokens, ranges] : cases) {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      Passes passes(GetParam(), dtype, num_tokens);
      const std::vector<LayerOutputs> dense = passes.Forward(ranges);
      const std::vector<LayerOutputs> pass = passes.Pass(ranges);
      // A GPU's attention is another kernel with targets than without.
      const bool same_kernels = GetParam() == "cpu" || dtype == DType::kFloat32;
      std::vector<LayerOutputs> exact = dense;
      if (!same_kernels) {
        exact = Passes(GetParam(), DType::kFloat32, num_tokens).Forward(ranges);
      }
      for (int32_t layer = 0; layer < 3; ++layer) {
        for (const auto& [name, output] : kOutputs) {
          SCOPED_TRACE(testing::Message()
                       << num_tokens << " tokens, ranges of " << ranges[0]
                       << ", layer " << layer << ", " << name);
          ASSERT_EQ((pass[layer].*output).size(),
                    (dense[layer].*output).size());
          if (same_kernels) {
            EXPECT_TRUE(pass[layer].*output == dense[layer].*output);
          } else {
            EXPECT_TRUE(WithinErrorBudget(pass[layer].*output,
                                          dense[layer].*output,
                                          exact[layer].*output, dtype));
          }
        }
      }
    }
  }
}

TEST_P(LayerPassTest, GivesWhatIsAskedFor) {
  Passes passes(GetParam(), DType::kBFloat16, 150);
  for (const bool max : {false, true}) {
    const std::unique_ptr<LayerPass> pass = passes.Begin();
    for (int32_t layer = 0; layer < 3; ++layer) {
      LayerRangeView view;
      ASSERT_TRUE(pass->Run(layer, 0, 3, {max, false, false}, &view).ok());
      EXPECT_EQ(view.max_target != nullptr, max);
      EXPECT_EQ(view.mass_target, nullptr);
    }
  }
}

TEST_P(LayerPassTest, RefusesWhatIsNotNext) {
  Passes passes(GetParam(), DType::kBFloat16, 300);
  const std::unique_ptr<LayerPass> pass = passes.Begin();
  LayerRangeView view;
  const auto run = [&](int32_t layer, int64_t first, int64_t last) {
    return pass->Run(layer, first, last, {true, false, false}, &view).code();
  };
  const auto kRefused = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(run(1, 0, 5), kRefused);
  EXPECT_EQ(run(0, 1, 5), kRefused);
  EXPECT_EQ(run(0, 0, 6), kRefused);
  EXPECT_EQ(run(0, 0, 0), kRefused);
  EXPECT_EQ(run(0, 0, 2), absl::StatusCode::kOk);
  EXPECT_EQ(run(0, 0, 2), kRefused);
  EXPECT_EQ(run(1, 0, 5), kRefused);
  EXPECT_EQ(run(0, 2, 5), absl::StatusCode::kOk);
  EXPECT_EQ(run(1, 0, 5), absl::StatusCode::kOk);
  EXPECT_EQ(run(2, 0, 5), absl::StatusCode::kOk);
  EXPECT_EQ(run(3, 0, 5), kRefused);
}

TEST_P(LayerPassTest, RefusesWhatItCannotBeginWith) {
  Passes passes(GetParam(), DType::kBFloat16, 300);
  const auto begin = [&](const std::vector<int32_t>& tokens,
                         const std::vector<int32_t>& pages) {
    return passes.model()
        .BeginLayerPass(tokens, passes.kv(), pages)
        .status()
        .code();
  };
  const std::vector<int32_t> tokens = {1, 2, 3};
  EXPECT_EQ(begin(tokens, {7}), absl::StatusCode::kOk);
  const auto kRefused = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(begin({}, {7}), kRefused);
  EXPECT_EQ(begin({1, kTinyLlamaVocabSize}, {7}), kRefused);
  EXPECT_EQ(begin({1, -1}, {7}), kRefused);
  EXPECT_EQ(begin(RandomIds(16385, 1), passes.planes()), kRefused);
  EXPECT_EQ(begin(tokens, {}), kRefused);
  EXPECT_EQ(begin(tokens, {300}), kRefused);
  EXPECT_EQ(begin(tokens, {-1}), kRefused);
  EXPECT_EQ(begin(RandomIds(65, 1), {7, 7}), kRefused);
}

INSTANTIATE_TEST_SUITE_P(Devices, LayerPassTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

// The most bytes that operators have had at one time.
class PeakAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    void* const block = std::aligned_alloc(
        kAlignment, (size + kAlignment - 1) / kAlignment * kAlignment);
    held_ += static_cast<int64_t>(malloc_usable_size(block));
    peak_ = std::max(peak_, held_);
    return {block, block, &Free, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void* to, const void* from, size_t size) const override {
    default_copy_data(to, from, size);
  }

  static int64_t peak() { return peak_; }
  static void ResetPeak() { peak_ = held_; }

 private:
  static constexpr size_t kAlignment = 64;
  static void Free(void* block) {
    held_ -= static_cast<int64_t>(malloc_usable_size(block));
    std::free(block);
  }
  static int64_t held_, peak_;
};
int64_t PeakAllocator::held_ = 0;
int64_t PeakAllocator::peak_ = 0;

TEST(LayerPassBytesTest, CoversWhatAPassTakesAndIsLinear) {
  for (const auto& [num_tokens, tiles] :
       std::vector<std::pair<int64_t, int64_t>>{
           {300, 1}, {2000, 1}, {2000, 8}, {2000, 32}}) {
    Passes passes("cpu", DType::kBFloat16, num_tokens);
    const auto bytes = [&, range = tiles](int64_t tokens) {
      return passes.model().LayerPassBytes(tokens, range);
    };
    const at::Tensor bits = at::zeros({tiles, 4, 1}, at::kLong);
    const at::Tensor counts = at::zeros({tiles, 4}, at::kInt);
    const at::Tensor errors = at::zeros({4}, at::kDouble);
    BlockSets sets;
    sets.bits = static_cast<uint64_t*>(bits.mutable_data_ptr());
    sets.counts = counts.mutable_data_ptr<int32_t>();
    sets.num_words = 1;
    sets.num_query_heads = 4;
    static PeakAllocator allocator;
    PeakAllocator::ResetPeak();
    c10::Allocator* const usual = c10::GetAllocator(c10::kCPU);
    c10::SetAllocator(c10::kCPU, &allocator,
                      std::numeric_limits<uint8_t>::max());
    {
      const std::unique_ptr<LayerPass> pass = passes.Begin();
      LayerRangeView view;
      for (int64_t tile = 0; tile < pass->num_tiles(); tile += tiles) {
        const int64_t end = std::min(tile + tiles, pass->num_tiles());
        EXPECT_TRUE(pass->Run(0, tile, end, {true, true, true}, &view).ok());
        EXPECT_TRUE(
            pass->AddOutputErrors(sets, errors.mutable_data_ptr<double>())
                .ok());
      }
    }
    c10::SetAllocator(c10::kCPU, usual, std::numeric_limits<uint8_t>::max());
    EXPECT_GT(PeakAllocator::peak(), 0);
    EXPECT_GE(bytes(num_tokens), PeakAllocator::peak());
    EXPECT_EQ(bytes(12288) - bytes(8192), bytes(8192) - bytes(4096));
  }
}

}  // namespace
}  // namespace seer
