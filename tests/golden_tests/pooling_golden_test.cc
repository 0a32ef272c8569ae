// The targets of calibration against every golden file of a directory:
// ground_truth and target_max, target_mass, [Hq, n, n].
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "tests/golden_tests/golden_layer.h"
#include "tests/testing/golden_file.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/pooling_case.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/oracles/plain_pooling.h"

namespace seer {
namespace {

// Both targets of a layer in one dtype, as [Hq, n, n] with zeros above the
// diagonal.
struct LayerTargets {
  std::vector<float> max, mass;
};

class PooledLayer {
 public:
  PooledLayer(const GoldenLayer& layer, DType dtype)
      : shape_(layer.shape),
        n_(layer.num_tiles()),
        sequences_(layer.shape, dtype, {RoundedTokens(layer.tokens, dtype)},
                   layer.Rope("default"), /*seed=*/5),
        step_(sequences_.Prepare(Backend::kReference,
                                 sequences_.WholePrompts())) {}

  // Of pool(args), every output being wanted.
  template <class Fn>
  LayerTargets Run(const Fn& pool) {
    const int64_t size = n_ * shape_.num_query_heads * n_;
    std::vector<float> max(size, NAN), mass(size, NAN);
    TypedArray out(sequences_.dtype(), step_.roped_queries.size());
    AttentionPoolingArgs args;
    args.attention.batch = step_.batch.batch();
    args.attention.dtype = sequences_.dtype();
    args.attention.num_query_heads = shape_.num_query_heads;
    args.attention.queries = step_.roped_queries.data();
    args.attention.kv = sequences_.kv();
    args.attention.scale =
        1.0f / std::sqrt(static_cast<float>(shape_.head_dim));
    args.attention.out = out.data();
    args.max_target = max.data();
    args.mass_target = mass.data();
    args.row_len = static_cast<int32_t>(n_);
    pool(args);
    return {HeadsFirst(max), HeadsFirst(mass)};
  }

 private:
  static SequenceTokens RoundedTokens(SequenceTokens tokens, DType dtype) {
    for (auto* values : {&tokens.queries, &tokens.keys, &tokens.values}) {
      *values = TypedArray(dtype, *values).ToFloats();
    }
    return tokens;
  }
  std::vector<float> HeadsFirst(const std::vector<float>& rows) const {
    std::vector<float> result(rows.size(), 0.0f);
    for (int64_t h = 0; h < shape_.num_query_heads; ++h) {
      for (int64_t i = 0; i < n_; ++i) {
        for (int64_t j = 0; j <= i; ++j) {
          result[(h * n_ + i) * n_ + j] =
              rows[(i * shape_.num_query_heads + h) * n_ + j];
        }
      }
    }
    return result;
  }

  const HeadShape shape_;
  const int64_t n_;
  PagedSequences sequences_;
  PreparedStep step_;
};

class PoolingGoldenTest : public testing::TestWithParam<DType> {
 protected:
  // Every target of the files <prefix>*.
  void CheckFiles(const std::string& prefix) {
    int num_checked = 0;
    for (const std::string& path : GoldenPaths(prefix, ".safetensors")) {
      const absl::StatusOr<GoldenLayer> layer = LoadGoldenLayer(path);
      ASSERT_TRUE(layer.ok()) << path << ": " << layer.status();
      num_checked += CheckLayer(*layer);
    }
    if (num_checked == 0) {
      GTEST_SKIP() << "no targets in " << prefix << "* of " << GoldenDir();
    }
  }

 private:
  // Returns how many targets there were.
  int CheckLayer(const GoldenLayer& layer) {
    PooledLayer pooled(layer, GetParam());
    const LayerTargets plain = pooled.Run(PoolPlainly);
    int num_checked = 0;
    for (const Backend backend : RunnableBackends()) {
      // One precision shows that the reference computes the right thing.
      if (backend == Backend::kReference && GetParam() != DType::kFloat32) {
        continue;
      }
      SCOPED_TRACE(layer.name + " on " + Name(backend));
      const LayerTargets fast =
          pooled.Run([&](const AttentionPoolingArgs& args) {
            const absl::Status status = PoolAttentionFromHost(backend, args);
            EXPECT_TRUE(status.ok()) << status;
          });
      const auto check = [&](const char* name, const std::vector<float>& got,
                             const std::vector<float>& plainly) {
        const std::vector<float>* golden = layer.Floats(name);
        if (golden == nullptr) return;
        ++num_checked;
        EXPECT_TRUE(WithinErrorBudget(got, plainly, *golden, DType::kFloat32))
            << name;
      };
      check("ground_truth", fast.max, plain.max);
      check("target_max", fast.max, plain.max);
      check("target_mass", fast.mass, plain.mass);
    }
    return num_checked;
  }
};

TEST_P(PoolingGoldenTest, GateFilesTargets) { CheckFiles("attn_gate_"); }

TEST_P(PoolingGoldenTest, LayerFilesTargets) { CheckFiles("layer_"); }

INSTANTIATE_TEST_SUITE_P(All, PoolingGoldenTest,
                         testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const testing::TestParamInfo<DType>& dtype) {
                           return dtype.param == DType::kFloat32 ? "fp32"
                                                                 : "bf16";
                         });

}  // namespace
}  // namespace seer
