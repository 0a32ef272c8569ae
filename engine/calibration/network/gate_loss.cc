#include "engine/calibration/network/gate_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_log_softmax_backward_data.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/xlogy.h>

#include <limits>

namespace seer {
namespace {

// Logits of hidden blocks: exp gives 0, and 0 times it is 0, not NaN as with
// -infinity.
constexpr double kHiddenLogit = -1e30;

// Sums rows in their own type and the rest in double: rows are short, and there
// may be millions of them.
at::Tensor SumAll(const at::Tensor& terms) {
  return terms.sum(-1).sum(at::kDouble);
}

// In place: the roots of `target`, which is 0 past the visible blocks, each row
// over its sum. What keeps a row of zeros from 0 / 0 is far below the root of
// the least fp32, 2^-74.5, and so changes no other row.
at::Tensor RootTarget(at::Tensor target) {
  target.sqrt_();
  return target.div_(target.sum(-1, /*keepdim=*/true)
                         .clamp_min_(std::numeric_limits<float>::min()));
}

}  // namespace

at::Tensor VisibleBlocksOf(int64_t first_tile, int64_t num_tiles,
                           int64_t num_blocks, at::Device device) {
  return at::ones({num_tiles, num_blocks},
                  at::TensorOptions(at::kBool).device(device))
      .tril_(first_tile);
}

GateLossResult ComputeGateLoss(const GateLossArgs& args) {
  // Row r sees the blocks up to first_tile + r: a triangle.
  const at::Tensor hidden = at::full({args.logits.size(1), args.logits.size(2)},
                                     kHiddenLogit, args.logits.options())
                                .triu_(args.first_tile + 1);
  const at::Tensor logits = args.logits.tril(args.first_tile).add_(hidden);
  at::Tensor target = args.target.tril(args.first_tile);
  if (args.loss == GateLoss::kKlOfRoot) target = RootTarget(target);
  const double scale = 1.0 / args.num_terms;
  GateLossResult result;
  if (args.loss == GateLoss::kMse) {
    const at::Tensor probs = at::softmax(logits, -1);
    const at::Tensor error = probs - target;
    result.value = SumAll(error.square()).mul_(scale);
    result.gradient = (error - (probs * error).sum(-1, /*keepdim=*/true))
                          .mul_(probs)
                          .mul_(2.0 * scale);
    return result;
  }
  const at::Tensor log_probs = at::log_softmax(logits, -1);
  // By a log-probability the loss grows by -target.
  result.gradient = at::_log_softmax_backward_data(target * -scale, log_probs,
                                                   -1, log_probs.scalar_type());
  result.value =
      SumAll(at::xlogy(target, target).addcmul_(log_probs, target, -1.0))
          .mul_(scale);
  return result;
}

}  // namespace seer
