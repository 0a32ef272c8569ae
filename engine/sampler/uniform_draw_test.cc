#include "engine/sampler/uniform_draw.h"

#include <array>
#include <cstdint>
#include <set>

#include "gtest/gtest.h"

namespace seer {
namespace {

using Words4 = std::array<uint32_t, 4>;

// Known answers published with the generator (Random123, philox4x32, 10).
TEST(Philox4x32, GivesThePublishedAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                       {0xa4093822, 0x299f31d0}),
            (Words4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

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
