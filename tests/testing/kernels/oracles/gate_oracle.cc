#include "tests/testing/kernels/oracles/gate_oracle.h"

#include <algorithm>
#include <cmath>

namespace seer {
namespace {

constexpr double kPi = 3.14159265358979323846;

double Clamp01(double x) { return std::min(1.0, std::max(0.0, x)); }

double CorrectionDim(const RopeConfig& config, double rotations) {
  return config.head_dim *
         std::log(static_cast<double>(
                      config.scaling.original_max_position_embeddings) /
                  (rotations * 2 * kPi)) /
         (2 * std::log(config.theta));
}

using Vector = std::vector<double>;

// x [D] rotated to `position`.
Vector Rotate(const Vector& x, const ExactRope& rope, int64_t position) {
  const int64_t half = rope.head_dim / 2;
  Vector y(x.size());
  for (int64_t i = 0; i < half; ++i) {
    const double cos = rope.cos[position * half + i];
    const double sin = rope.sin[position * half + i];
    y[i] = x[i] * cos - x[i + half] * sin;
    y[i + half] = x[i + half] * cos + x[i] * sin;
  }
  return y;
}

// One head's rows of one block: rows [num_tokens][D].
std::vector<Vector> BlockRows(const std::vector<float>& all, int32_t num_heads,
                              int32_t head_dim, int64_t head, int64_t begin,
                              int64_t end) {
  std::vector<Vector> rows;
  for (int64_t p = begin; p < end; ++p) {
    const auto at = all.begin() + (p * num_heads + head) * head_dim;
    rows.emplace_back(at, at + head_dim);
  }
  return rows;
}

Vector Mean(const std::vector<Vector>& rows) {
  Vector mean(rows[0].size());
  for (const Vector& row : rows) {
    for (size_t c = 0; c < mean.size(); ++c) mean[c] += row[c];
  }
  for (double& m : mean) m /= static_cast<double>(rows.size());
  return mean;
}

Vector Pool(const std::vector<Vector>& rows, const PoolSet& set) {
  Vector max = rows[0], min = rows[0];
  for (const Vector& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      max[c] = std::max(max[c], row[c]);
      min[c] = std::min(min[c], row[c]);
    }
  }
  const Vector mean = Mean(rows);
  Vector pooled;
  if (set.max) pooled.insert(pooled.end(), max.begin(), max.end());
  if (set.min) pooled.insert(pooled.end(), min.begin(), min.end());
  if (set.avg) pooled.insert(pooled.end(), mean.begin(), mean.end());
  return pooled;
}

Vector Project(const Vector& x, const std::vector<float>& weights, int64_t head,
               int64_t head_dim) {
  const int64_t num_inputs = static_cast<int64_t>(x.size());
  Vector y(head_dim);
  for (int64_t i = 0; i < num_inputs; ++i) {
    for (int64_t c = 0; c < head_dim; ++c) {
      y[c] += x[i] * weights[(head * num_inputs + i) * head_dim + c];
    }
  }
  return y;
}

// The entry of the block that starts at position `begin`, from its rows.
Vector Entry(std::vector<Vector> rows, const GateWeights& gate,
             const PoolSet& pools, const std::vector<float>& weights,
             int64_t weight_head, const ExactRope& rope, int64_t begin) {
  if (gate.mean_pool) {
    for (size_t r = 0; r < rows.size(); ++r) {
      rows[r] = Rotate(rows[r], rope, begin + static_cast<int64_t>(r));
    }
    return Mean(rows);
  }
  Vector x = Pool(rows, pools);
  if (!weights.empty()) x = Project(x, weights, weight_head, rope.head_dim);
  return Rotate(x, rope, begin);
}

}  // namespace

ExactFrequencies MakeExactFrequencies(const RopeConfig& config) {
  using Type = RopeScaling::Type;
  const RopeScaling& s = config.scaling;
  const double original =
      static_cast<double>(s.original_max_position_embeddings);
  ExactFrequencies result;
  for (int i = 0; i < config.head_dim / 2; ++i) {
    const double f = std::pow(config.theta, -2.0 * i / config.head_dim);
    double slowed = 0.0;  // share of the frequency that is divided by factor
    if (s.type == Type::kLinear) slowed = 1.0;
    if (s.type == Type::kLlama3) {
      slowed = 1.0 - Clamp01((original * f / (2 * kPi) - s.low_freq_factor) /
                             (s.high_freq_factor - s.low_freq_factor));
    }
    if (s.type == Type::kYarn) {
      const double low =
          std::max(0.0, std::floor(CorrectionDim(config, s.beta_fast)));
      const double high = std::min(
          config.head_dim - 1.0, std::ceil(CorrectionDim(config, s.beta_slow)));
      slowed = Clamp01((i - low) / (high == low ? 0.001 : high - low));
    }
    result.inverse_frequencies.push_back((1 - slowed) * f +
                                         slowed * f / s.factor);
  }
  if (s.type == Type::kYarn) {
    result.attention_factor = s.attention_factor > 0.0
                                  ? s.attention_factor
                                  : 0.1 * std::log(s.factor) + 1.0;
  }
  return result;
}

ExactRope MakeExactRope(const RopeConfig& config, int64_t num_positions) {
  const ExactFrequencies f = MakeExactFrequencies(config);
  ExactRope rope;
  rope.head_dim = config.head_dim;
  for (int64_t p = 0; p < num_positions; ++p) {
    for (const double frequency : f.inverse_frequencies) {
      const double angle = static_cast<double>(p) * frequency;
      rope.cos.push_back(std::cos(angle) * f.attention_factor);
      rope.sin.push_back(std::sin(angle) * f.attention_factor);
    }
  }
  return rope;
}

ExactRope ToExactRope(const RopeTable& table) {
  const int64_t size = table.num_positions * (table.head_dim / 2);
  ExactRope rope;
  rope.cos.assign(table.cos, table.cos + size);
  rope.sin.assign(table.sin, table.sin + size);
  rope.head_dim = table.head_dim;
  return rope;
}

ExactLogits ScoreExactly(const HeadShape& shape, const SequenceTokens& tokens,
                         const GateWeights& gate, const ExactRope& rope) {
  const int64_t n = NumBlocks(tokens.prompt_len);
  const bool is_single = !gate.mean_pool && !gate.is_double();
  const double scale = 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
  ExactLogits result;
  result.logits.resize(shape.num_query_heads * n * n);
  result.magnitudes.resize(result.logits.size());
  for (int64_t h = 0; h < shape.num_query_heads; ++h) {
    const int64_t kv_head = h / shape.group();
    std::vector<Vector> queries, keys;
    for (int64_t b = 0; b < n; ++b) {
      const int64_t begin = b * kBlockSize;
      const int64_t end =
          std::min<int64_t>(begin + kBlockSize, tokens.prompt_len);
      queries.push_back(Entry(BlockRows(tokens.queries, shape.num_query_heads,
                                        shape.head_dim, h, begin, end),
                              gate, gate.query_pools, gate.linear_q, h, rope,
                              begin));
      keys.push_back(Entry(BlockRows(tokens.keys, shape.num_kv_heads,
                                     shape.head_dim, kv_head, begin, end),
                           gate, gate.key_pools, gate.linear_k,
                           is_single ? h : kv_head, rope, begin));
    }
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        const int64_t at = (h * n + i) * n + j;
        for (int64_t c = 0; c < shape.head_dim; ++c) {
          const double product = scale * queries[i][c] * keys[j][c];
          result.logits[at] += product;
          result.magnitudes[at] += std::abs(product);
        }
      }
    }
  }
  return result;
}

}  // namespace seer
