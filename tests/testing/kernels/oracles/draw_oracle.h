// Which tokens a draw may draw: SampleTokens' definition in double, and how far
// weights of fp32 exponentials can be from it.
#ifndef SEER_TESTS_TESTING_KERNELS_ORACLES_DRAW_ORACLE_H_
#define SEER_TESTS_TESTING_KERNELS_ORACLES_DRAW_ORACLE_H_

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {

// Of one row and the options of one draw, which are valid and not idle.
class DrawOracle {
 public:
  DrawOracle(const SampleTokensArgs& args, const TokenDraw& draw);

  // Whether `id` is what `uniform` draws: its part of the kept mass holds
  // uniform, give or take the bound of the rounding of the sums before it, and
  // of what top_p and min_p then keep. Nothing is given where no token can be
  // drawn or temperature is 0.
  testing::AssertionResult Allows(int32_t id, double uniform) const;

 private:
  // Beginnings of the order, by their length 0..num_tokens.
  struct Beginning {
    double mass = 0.0;
    double error = 0.0;  // at most, of a sum that rounds

    double Least() const { return mass - error; }
    double Most() const { return mass + error; }
  };
  struct Lengths {
    int64_t fewest = 0;
    int64_t most = 0;
  };

  void Weigh(const std::vector<float>& logits, float max, double temperature);
  // What top_k keeps of the order; and of that top_p; and min_p.
  Lengths KeptLengths(const std::vector<float>& logits, float max,
                      const TokenDraw& draw) const;

  int32_t only_ = -2;  // the one id allowed, if not -2
  std::vector<int32_t> order_;
  std::vector<Beginning> beginnings_;
  Lengths kept_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_ORACLES_DRAW_ORACLE_H_
