#include "engine/sampler/uniform_draw.h"

#include <array>
#include <cstdint>
#include <set>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(UniformDraw, IsUniform) {
  constexpr int kDraws = 100000;
  constexpr int kBins = 10;
  std::array<int, kBins> counts = {};
  for (int i = 0; i < kDraws; ++i) {
    const double u = UniformDraw({1234, 0, i});
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++counts[static_cast<int>(u * kBins)];
  }
  double chi_square = 0.0;
  for (const int count : counts) {
    const double expected = static_cast<double>(kDraws) / kBins;
    chi_square += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_square, 33.7);  // 9 degrees of freedom, 1 in 10,000
}

TEST(UniformDraw, DependsOnEveryPartOfTheKey) {
  std::set<double> draws;
  draws.insert(UniformDraw({0, 0, 0}));
  for (int bit = 0; bit < 64; ++bit) {
    draws.insert(UniformDraw({uint64_t{1} << bit, 0, 0}));
  }
  for (int bit = 0; bit < 31; ++bit) {
    draws.insert(UniformDraw({0, int32_t{1} << bit, 0}));
  }
  for (int bit = 0; bit < 63; ++bit) {
    draws.insert(UniformDraw({0, 0, int64_t{1} << bit}));
  }
  EXPECT_EQ(draws.size(), 1u + 64 + 31 + 63);
  EXPECT_EQ(UniformDraw({5, 6, 7}), UniformDraw({5, 6, 7}));
}

}  // namespace
}  // namespace seer
