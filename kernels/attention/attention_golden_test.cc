// Attention against outputs computed outside this project, from queries and
// keys before RoPE and given block sets.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "kernels/attention/attention.h"
#include "kernels/rope.h"
#include "tests/testing/golden_file.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/oracles/plain_attention.h"

namespace seer {
namespace {

// Block sets of one prompt from a mask [Hq, n, n]; from none, every block.
class MaskSets {
 public:
  MaskSets(const std::vector<uint8_t>& mask, int64_t num_heads, int64_t n) {
    if (mask.empty()) return;
    sets_.num_words = static_cast<int32_t>((n + 63) / 64);
    sets_.num_query_heads = static_cast<int32_t>(num_heads);
    bits_.assign(n * num_heads * sets_.num_words, 0);
    counts_.assign(n * num_heads, 0);
    sets_.bits = bits_.data();
    sets_.counts = counts_.data();
    for (int64_t h = 0; h < num_heads; ++h) {
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j <= i; ++j) {
          if (mask[(h * n + i) * n + j] == 0) continue;
          sets_.Bits(i, h)[j / 64] |= uint64_t{1} << (j % 64);
          ++counts_[sets_.Row(i, h)];
        }
      }
    }
  }
  MaskSets(const MaskSets&) = delete;
  MaskSets& operator=(const MaskSets&) = delete;

  const BlockSets& sets() const { return sets_; }

 private:
  BlockSets sets_;
  std::vector<uint64_t> bits_;
  std::vector<int32_t> counts_;
};

// The layer of a golden file, its rows rotated and in pages.
class GoldenLayer {
 public:
  GoldenLayer(const GoldenTensors& file, DType dtype)
      : shape_(ShapeOf(file)),
        sequences_(shape_, dtype, {TokensOf(file, dtype)}, RopeOf(file),
                   /*seed=*/5),
        step_(sequences_.Prepare(Backend::kReference,
                                 sequences_.WholePrompts())) {}

  int64_t num_heads() const { return shape_.num_query_heads; }
  int64_t num_rows() const { return step_.batch.batch().num_rows; }
  int64_t num_tiles() const { return step_.batch.batch().num_tiles; }
  int64_t row_width() const {
    return int64_t{shape_.num_query_heads} * shape_.head_dim;
  }
  size_t mask_size() const { return num_heads() * num_tiles() * num_tiles(); }

  // The outputs [num_rows, Hq, D] of attend(args) under `sets`.
  template <class Fn>
  std::vector<float> Run(const BlockSets& sets, const Fn& attend) {
    TypedArray out(sequences_.dtype(), step_.roped_queries.size(), NAN);
    AttentionArgs args;
    args.batch = step_.batch.batch();
    args.dtype = sequences_.dtype();
    args.num_query_heads = shape_.num_query_heads;
    args.queries = step_.roped_queries.data();
    args.kv = sequences_.kv();
    args.sets = sets;
    args.scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim));
    args.out = out.data();
    attend(args);
    return out.ToFloats();
  }

 private:
  static HeadShape ShapeOf(const GoldenTensors& file) {
    HeadShape shape;
    shape.num_query_heads = static_cast<int32_t>(file.Shape("q")[1]);
    shape.num_kv_heads = static_cast<int32_t>(file.Shape("k")[1]);
    shape.head_dim = static_cast<int32_t>(file.Shape("q")[2]);
    return shape;
  }
  static SequenceTokens TokensOf(const GoldenTensors& file, DType dtype) {
    SequenceTokens tokens;
    tokens.len = static_cast<int32_t>(file.Shape("q")[0]);
    tokens.prompt_len = tokens.len;
    tokens.queries = TypedArray(dtype, file.Floats("q")).ToFloats();
    tokens.keys = TypedArray(dtype, file.Floats("k")).ToFloats();
    tokens.values = TypedArray(dtype, file.Floats("v")).ToFloats();
    return tokens;
  }
  static RopeConfig RopeOf(const GoldenTensors& file) {
    RopeConfig rope;
    rope.theta = file.Number("rope_theta");
    return rope;
  }

  HeadShape shape_;
  PagedSequences sequences_;
  PreparedStep step_;
};

void AttendWith(Backend backend, const AttentionArgs& args) {
  const absl::Status status = Attend(backend, args, {});
  ASSERT_TRUE(status.ok()) << status;
}

// The given rows of [num_rows, width]; none given: all.
std::vector<float> TakeRows(const std::vector<float>& values, int64_t width,
                            const std::vector<int32_t>& rows) {
  if (rows.empty()) return values;
  std::vector<float> taken;
  for (const int32_t row : rows) {
    taken.insert(taken.end(), values.begin() + row * width,
                 values.begin() + (row + 1) * width);
  }
  return taken;
}

void ExpectGolden(GoldenLayer& layer, DType dtype, const BlockSets& sets,
                  const std::vector<float>& golden,
                  const std::vector<int32_t>& rows) {
  const int64_t num_rows =
      rows.empty() ? layer.num_rows() : static_cast<int64_t>(rows.size());
  const int64_t width = layer.row_width();
  ASSERT_EQ(static_cast<int64_t>(golden.size()), num_rows * width)
      << "not the outputs of these rows";
  const std::vector<float> plain =
      TakeRows(layer.Run(sets, AttendPlainly), width, rows);
  for (const Backend backend : {Backend::kReference, Backend::kCpu}) {
    // One precision shows that the reference computes the right thing.
    if (backend == Backend::kReference && dtype != DType::kFloat32) continue;
    const std::vector<float> out = layer.Run(
        sets, [&](const AttentionArgs& args) { AttendWith(backend, args); });
    EXPECT_TRUE(
        WithinErrorBudget(TakeRows(out, width, rows), plain, golden, dtype));
  }
}

// One output of a file and what it is the output of.
struct GoldenOutput {
  std::string name;
  std::string mask;      // [Hq, n, n]; empty: dense
  bool is_rows = false;  // at the row numbers in `rows` only
};

// dense_output, sparse_output_nz_<density> of mask_nz_<density>_plain, and,
// at some rows, dense_output_rows and output_rows_<name> of blocks_<name>.
std::vector<GoldenOutput> OutputsOf(const GoldenTensors& file) {
  std::vector<GoldenOutput> outputs;
  for (const std::string& name : file.Names()) {
    GoldenOutput output;
    output.name = name;
    absl::string_view rest = name;
    if (absl::ConsumePrefix(&rest, "sparse_output_nz_")) {
      output.mask = absl::StrCat("mask_nz_", rest, "_plain");
    } else if (absl::ConsumePrefix(&rest, "output_rows_")) {
      output.mask = absl::StrCat("blocks_", rest);
      output.is_rows = true;
    } else if (name == "dense_output_rows") {
      output.is_rows = true;
    } else if (name != "dense_output") {
      continue;
    }
    if ((output.mask.empty() || file.Has(output.mask)) &&
        (!output.is_rows || file.Has("rows"))) {
      outputs.push_back(std::move(output));
    } else {
      std::printf("%s: not checked without %s%s\n", name.c_str(),
                  output.mask.c_str(), output.is_rows ? " and rows" : "");
    }
  }
  return outputs;
}

class AttentionGoldenTest : public testing::TestWithParam<DType> {
 protected:
  // Every output of the files <prefix>*.
  void CheckFiles(const std::string& prefix) {
    int num_checked = 0;
    for (const std::string& path : GoldenPaths(prefix, ".safetensors")) {
      const GoldenTensors file(path);
      GoldenLayer layer(file, GetParam());
      for (const GoldenOutput& output : OutputsOf(file)) {
        SCOPED_TRACE(path + " " + output.name);
        ++num_checked;
        const std::vector<uint8_t> mask = output.mask.empty()
                                              ? std::vector<uint8_t>()
                                              : file.Bytes(output.mask);
        ASSERT_EQ(mask.size(), output.mask.empty() ? 0 : layer.mask_size());
        const MaskSets sets(mask, layer.num_heads(), layer.num_tiles());
        ExpectGolden(
            layer, GetParam(), sets.sets(), file.Floats(output.name),
            output.is_rows ? file.Ints("rows") : std::vector<int32_t>());
      }
    }
    if (num_checked == 0) {
      GTEST_SKIP() << "no outputs in " << prefix << "* of " << GoldenDir();
    }
  }
};

TEST_P(AttentionGoldenTest, GateFilesOutputs) { CheckFiles("attn_gate_"); }

TEST_P(AttentionGoldenTest, LayerFilesOutputs) { CheckFiles("layer_"); }

INSTANTIATE_TEST_SUITE_P(All, AttentionGoldenTest,
                         testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const testing::TestParamInfo<DType>& dtype) {
                           return dtype.param == DType::kFloat32 ? "fp32"
                                                                 : "bf16";
                         });

}  // namespace
}  // namespace seer
