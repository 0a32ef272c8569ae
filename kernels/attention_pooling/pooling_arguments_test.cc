// What PoolAttention refuses.
#include <functional>

#include "gtest/gtest.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/cases/attention_case.h"
#include "tests/testing/kernels/cases/pooling_case.h"

namespace seer {
namespace {

class PoolingArgumentsTest : public testing::TestWithParam<Backend> {
 protected:
  // Of valid arguments that `change` has changed.
  absl::StatusCode Code(
      const std::function<void(AttentionPoolingArgs*)>& change) {
    const AttentionCase c({1, 2, 64}, DType::kBFloat16,
                          {WholePrompt(100), GeneratedRows(5, 70, 1)},
                          {SetPattern::kSparse, SetPattern::kAll}, {1, 2});
    absl::StatusCode code = absl::StatusCode::kUnknown;
    RunPooling(c, [&](AttentionPoolingArgs args) {
      args.attention.batch.num_tiles = args.attention.batch.num_prompt_tiles;
      sets_ = args.attention.sets;
      args.attention.sets = {};
      change(&args);
      code = PoolAttention(GetParam(), args, {}).code();
    });
    return code;
  }

  BlockSets sets_;
};

TEST_P(PoolingArgumentsTest, TakesValidOnes) {
  EXPECT_EQ(Code([](auto*) {}), absl::StatusCode::kOk);
  EXPECT_EQ(Code([](auto* args) {
              args->attention.batch = {};
              args->max_target = args->mass_target = nullptr;
            }),
            absl::StatusCode::kOk);
}

TEST_P(PoolingArgumentsTest, RefusesOthers) {
  using Args = AttentionPoolingArgs;
  const std::function<void(Args*)> changes[] = {
      [&](Args* args) { args->attention.sets = sets_; },
      [](Args* args) { ++args->attention.batch.num_tiles; },
      [](Args* args) { args->max_target = args->mass_target = nullptr; },
      [](Args* args) { args->row_len = 1; },
      [](Args* args) { args->attention.queries = nullptr; },
      [](Args* args) { args->attention.num_query_heads = 34; },
      [](Args* args) { args->attention.scale = 0.0f; }};
  for (const auto& change : changes) {
    EXPECT_EQ(Code(change), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Code([](Args* args) { args->attention.kv.head_dim = 258; }),
            absl::StatusCode::kUnimplemented);
}

INSTANTIATE_TEST_SUITE_P(Backends, PoolingArgumentsTest,
                         testing::Values(Backend::kReference, Backend::kCpu),
                         BackendName);

}  // namespace
}  // namespace seer
