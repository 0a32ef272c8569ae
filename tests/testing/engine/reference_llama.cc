#include "tests/testing/engine/reference_llama.h"

#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/safetensors/safetensors.h"
#include "base/status_macros.h"
#include "kernels/dtype.h"

namespace seer {

absl::StatusOr<ReferenceLlama> ReferenceLlama::Load(
    const std::string& folder, const TinyLlamaOptions& options) {
  ReferenceLlama llama;
  llama.options_ = options;
  SEER_ASSIGN_OR_RETURN(const SafetensorsFile file,
                        SafetensorsFile::Open(folder + "/model.safetensors"));
  for (const auto& [name, tensor] : file.tensors()) {
    const bool is_matrix = tensor.shape.size() == 2;
    const int64_t rows = is_matrix ? tensor.shape[0] : 1;
    const int64_t columns = tensor.shape.back();
    Matrix matrix(rows, std::vector<double>(columns));
    for (int64_t i = 0; i < rows * columns; ++i) {
      float value;
      if (tensor.dtype == SafetensorsDtype::kF32) {
        std::memcpy(&value, tensor.bytes.data() + 4 * i, 4);
      } else {
        BFloat16 narrow;
        std::memcpy(&narrow, tensor.bytes.data() + 2 * i, 2);
        value = static_cast<float>(narrow);
      }
      matrix[i / columns][i % columns] = value;
    }
    llama.weights_[name] = std::move(matrix);
  }
  return llama;
}

// One forward pass in one precision.
class ReferenceLlama::Run {
 public:
  Run(const ReferenceLlama& llama, int64_t prompt_len, const BlockMask& mask,
      ReferencePrecision precision)
      : llama_(llama),
        options_(llama.options_),
        prompt_len_(prompt_len),
        mask_(mask),
        precision_(precision) {}

  Matrix Forward(absl::Span<const int32_t> tokens) const {
    const Matrix embedding = llama_.Get("model.embed_tokens.weight");
    Matrix x;
    for (const int32_t token : tokens) x.push_back(embedding[token]);
    for (int32_t l = 0; l < options_.num_layers; ++l) {
      const std::string layer = absl::StrCat("model.layers.", l, ".");
      const Matrix attended =
          Attention(l, Norm(x, layer + "input_layernorm.weight"));
      Add(x, Multiply(attended, layer + "self_attn.o_proj.weight"));
      const Matrix h = Norm(x, layer + "post_attention_layernorm.weight");
      Matrix gate = Multiply(h, layer + "mlp.gate_proj.weight");
      const Matrix up = Multiply(h, layer + "mlp.up_proj.weight");
      for (size_t r = 0; r < gate.size(); ++r) {
        for (size_t c = 0; c < gate[r].size(); ++c) {
          const double g = gate[r][c];
          gate[r][c] = Round(Round(g / (1 + std::exp(-g))) * up[r][c]);
        }
      }
      Add(x, Multiply(gate, layer + "mlp.down_proj.weight"));
    }
    return Multiply(Norm(x, "model.norm.weight"),
                    options_.tie_word_embeddings ? "model.embed_tokens.weight"
                                                 : "lm_head.weight");
  }

 private:
  double Round(double value) const {
    switch (precision_) {
      case ReferencePrecision::kDouble:
        return value;
      case ReferencePrecision::kFloat32:
        return static_cast<float>(value);
      case ReferencePrecision::kBFloat16:
        return static_cast<float>(BFloat16(static_cast<float>(value)));
    }
    return value;
  }
  // What stays in fp32 even where tensors are bf16.
  double RoundFloat(double value) const {
    return precision_ == ReferencePrecision::kDouble
               ? value
               : static_cast<double>(static_cast<float>(value));
  }

  double Dot(const double* a, const double* b, size_t size) const {
    double sum = 0;
    for (size_t i = 0; i < size; ++i) sum = RoundFloat(sum + a[i] * b[i]);
    return sum;
  }

  Matrix Multiply(const Matrix& x, const std::string& name) const {
    const Matrix weight = llama_.Get(name);
    Matrix y(x.size(), std::vector<double>(weight.size()));
    for (size_t r = 0; r < x.size(); ++r) {
      for (size_t c = 0; c < weight.size(); ++c) {
        y[r][c] = Round(Dot(x[r].data(), weight[c].data(), x[r].size()));
      }
    }
    return y;
  }

  void Add(Matrix& x, const Matrix& y) const {
    for (size_t r = 0; r < x.size(); ++r) {
      for (size_t c = 0; c < x[r].size(); ++c) {
        x[r][c] = Round(x[r][c] + y[r][c]);
      }
    }
  }

  Matrix Norm(const Matrix& x, const std::string& name) const {
    const std::vector<double> weight = llama_.Get(name)[0];
    Matrix y = x;
    for (std::vector<double>& row : y) {
      const double mean_square =
          Dot(row.data(), row.data(), row.size()) / row.size();
      const double scale = RoundFloat(1 / std::sqrt(mean_square + 1e-5));
      for (size_t c = 0; c < row.size(); ++c) {
        row[c] = Round(Round(row[c] * scale) * weight[c]);
      }
    }
    return y;
  }

  // Rotates each head of each row to its position.
  void Rotate(Matrix& x) const {
    const int32_t dim = options_.head_dim;
    for (size_t position = 0; position < x.size(); ++position) {
      std::vector<double>& row = x[position];
      for (size_t head = 0; head < row.size(); head += dim) {
        for (int32_t i = 0; i < dim / 2; ++i) {
          const double frequency = RoundFloat(
              1 / RoundFloat(std::pow(options_.rope_theta, 2.0 * i / dim)));
          const double angle = RoundFloat(position * frequency);
          const double c = RoundFloat(std::cos(angle));
          const double s = RoundFloat(std::sin(angle));
          const double a = row[head + i];
          const double b = row[head + i + dim / 2];
          row[head + i] = Round(a * c - b * s);
          row[head + i + dim / 2] = Round(b * c + a * s);
        }
      }
    }
  }

  Matrix Attention(int32_t layer, const Matrix& h) const {
    const std::string prefix =
        absl::StrCat("model.layers.", layer, ".self_attn.");
    Matrix q = Multiply(h, prefix + "q_proj.weight");
    Matrix k = Multiply(h, prefix + "k_proj.weight");
    const Matrix v = Multiply(h, prefix + "v_proj.weight");
    Rotate(q);
    Rotate(k);
    const int32_t dim = options_.head_dim;
    const int32_t group = options_.num_query_heads / options_.num_kv_heads;
    Matrix out(h.size(), std::vector<double>(options_.num_query_heads * dim));
    for (int64_t row = 0; row < static_cast<int64_t>(h.size()); ++row) {
      for (int32_t head = 0; head < options_.num_query_heads; ++head) {
        const int32_t kv = head / group * dim;
        std::vector<double> weights(row + 1, 0.0);
        double sum = 0;
        for (int64_t col = 0; col <= row; ++col) {
          if (!Reads(layer, head, row, col)) continue;
          const double logit =
              Dot(q[row].data() + head * dim, k[col].data() + kv, dim) /
              std::sqrt(1.0 * dim);
          weights[col] = RoundFloat(std::exp(RoundFloat(logit)));
          sum = RoundFloat(sum + weights[col]);
        }
        for (int32_t d = 0; d < dim; ++d) {
          double value = 0;
          for (int64_t col = 0; col <= row; ++col) {
            value =
                RoundFloat(value + Round(weights[col] / sum) * v[col][kv + d]);
          }
          out[row][head * dim + d] = Round(value);
        }
      }
    }
    return out;
  }

  bool Reads(int32_t layer, int32_t head, int64_t row, int64_t col) const {
    if (!mask_ || row >= prompt_len_) return true;
    return mask_(layer, head, static_cast<int32_t>(row / 64),
                 static_cast<int32_t>(col / 64));
  }

  const ReferenceLlama& llama_;
  const TinyLlamaOptions& options_;
  const int64_t prompt_len_;
  const BlockMask& mask_;
  const ReferencePrecision precision_;
};

std::vector<float> ReferenceLlama::Forward(absl::Span<const int32_t> tokens,
                                           int64_t prompt_len,
                                           const BlockMask& mask,
                                           ReferencePrecision precision) const {
  const Matrix logits = Run(*this, prompt_len, mask, precision).Forward(tokens);
  std::vector<float> flat;
  for (const std::vector<double>& row : logits) {
    flat.insert(flat.end(), row.begin(), row.end());
  }
  return flat;
}

}  // namespace seer
