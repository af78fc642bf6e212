// Goal: the whole forward pass agrees with the architecture's definition, written here a second
// time, in binary64, position by position and without a cache.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/gguf_decode.h"
#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

using Vector = std::vector<double>;

class Definition {
 public:
  Definition(const GgufFile& file, const ModelConfig& c) : file_(file), c_(c) {}

  // Logits of the last of `tokens`.
  Vector Logits(const std::vector<int32_t>& tokens) const {
    std::vector<Vector> x;
    for (const int32_t token : tokens) x.push_back(Row("token_embd.weight", token, c_.n_embd));
    for (int l = 0; l < c_.n_layers; ++l) Layer("blk." + std::to_string(l) + '.', x);
    const std::string head = c_.tied_head ? "token_embd.weight" : "output.weight";
    return Times(head, Norm(x.back(), "output_norm.weight"), c_.n_vocab);
  }

 private:
  Vector Row(const std::string& name, int row, int n) const {
    const TensorInfo& tensor = *file_.FindTensor(name);
    const auto n_blocks = static_cast<size_t>(n / BlockElements(tensor.type));
    const auto block_bytes = static_cast<size_t>(BlockBytes(tensor.type));
    const uint8_t* at =
        file_.Data(tensor).data() + static_cast<size_t>(row) * n_blocks * block_bytes;
    return DecodeTensor(tensor.type, {at, n_blocks * block_bytes});
  }

  Vector Times(const std::string& name, const Vector& x, int n_out) const {
    Vector y;
    for (int o = 0; o < n_out; ++o) {
      const Vector w = Row(name, o, static_cast<int>(x.size()));
      double sum = 0;
      for (size_t k = 0; k < x.size(); ++k) sum += w[k] * x[k];
      y.push_back(sum);
    }
    return y;
  }

  Vector Norm(const Vector& x, const std::string& name) const {
    double sum = 0;
    for (const double v : x) sum += v * v;
    const Vector w = Row(name, 0, static_cast<int>(x.size()));
    Vector y;
    for (size_t i = 0; i < x.size(); ++i) {
      y.push_back(x[i] / std::sqrt(sum / static_cast<double>(x.size()) + c_.norm_eps) * w[i]);
    }
    return y;
  }

  void Rotate(Vector& heads, int position) const {
    for (size_t h = 0; h < heads.size(); h += c_.head_dim) {
      for (int i = 0; i < c_.rope.dims / 2; ++i) {
        const double theta = position * std::pow(c_.rope.base, -2.0 * i / c_.rope.dims);
        const double a = heads[h + 2 * i], b = heads[h + 2 * i + 1];
        heads[h + 2 * i] = a * std::cos(theta) - b * std::sin(theta);
        heads[h + 2 * i + 1] = a * std::sin(theta) + b * std::cos(theta);
      }
    }
  }

  Vector Attend(const Vector& q, const std::vector<Vector>& k, const std::vector<Vector>& v,
                size_t position) const {
    Vector out(q.size());
    const int group = c_.n_heads / c_.n_kv_heads;
    for (int h = 0; h < c_.n_heads; ++h) {
      const int at = h * c_.head_dim, kv = h / group * c_.head_dim;
      Vector weight;
      double sum = 0;
      for (size_t p = 0; p <= position; ++p) {
        double dot = 0;
        for (int d = 0; d < c_.head_dim; ++d) dot += q[at + d] * k[p][kv + d];
        weight.push_back(std::exp(dot / std::sqrt(c_.head_dim)));
        sum += weight.back();
      }
      for (size_t p = 0; p <= position; ++p) {
        for (int d = 0; d < c_.head_dim; ++d) out[at + d] += weight[p] / sum * v[p][kv + d];
      }
    }
    return out;
  }

  void Layer(const std::string& blk, std::vector<Vector>& x) const {
    const int kv_width = c_.n_kv_heads * c_.head_dim;
    std::vector<Vector> q, k, v;
    for (size_t p = 0; p < x.size(); ++p) {
      const Vector n = Norm(x[p], blk + "attn_norm.weight");
      q.push_back(Times(blk + "attn_q.weight", n, c_.n_heads * c_.head_dim));
      k.push_back(Times(blk + "attn_k.weight", n, kv_width));
      v.push_back(Times(blk + "attn_v.weight", n, kv_width));
      Rotate(q.back(), static_cast<int>(p));
      Rotate(k.back(), static_cast<int>(p));
    }
    for (size_t p = 0; p < x.size(); ++p) {
      Add(x[p], Times(blk + "attn_output.weight", Attend(q[p], k, v, p), c_.n_embd));
      const Vector n = Norm(x[p], blk + "ffn_norm.weight");
      Vector gate = Times(blk + "ffn_gate.weight", n, c_.n_ff);
      const Vector up = Times(blk + "ffn_up.weight", n, c_.n_ff);
      for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      Add(x[p], Times(blk + "ffn_down.weight", gate, c_.n_embd));
    }
  }

  static void Add(Vector& x, const Vector& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  const GgufFile& file_;
  const ModelConfig& c_;
};

TEST(Engine, AgreesWithTheArchitecturesDefinition) {
  TinyEngineOptions options;
  TinyEngine tiny(options);
  const auto file = GgufFile::FromBytes(MakeTinyModel(options.model).Bytes(), "tiny.gguf");
  ASSERT_TRUE(file.ok());
  const Definition definition(**file, tiny.engine->config());
  const std::vector<int32_t> tokens = RandomTokens(40, 5);
  const std::vector<float> got = AllLogits(*tiny.engine, tokens, 16);
  double largest = 0;
  for (const int p : {0, 1, 17, 39}) {
    const Vector want = definition.Logits({tokens.begin(), tokens.begin() + p + 1});
    for (size_t i = 0; i < want.size(); ++i) {
      largest = std::max(largest, std::abs(want[i]));
      // Four layers of sums of about a hundred binary32 products; logits are of order 1.
      ASSERT_NEAR(got[static_cast<size_t>(p) * kTinyVocab + i], want[i], 2e-5)
          << "position " << p << " token " << i;
    }
  }
  EXPECT_GT(largest, 0.1) << "the logits are too small for this to say anything";
}

TEST(Engine, OddShapesAndMixedTypesAgreeWithTheDefinition) {
  for (const TinyModelOptions& model : OddShapes()) {
    TinyEngineOptions options;
    options.model = model;
    TinyEngine tiny(options);
    const auto file = GgufFile::FromBytes(MakeTinyModel(model).Bytes(), "tiny.gguf");
    ASSERT_TRUE(file.ok());
    const Definition definition(**file, tiny.engine->config());
    const std::vector<int32_t> tokens = RandomTokens(20, 6);
    const std::vector<float> got = AllLogits(*tiny.engine, tokens, 7);
    const Vector want = definition.Logits(tokens);
    double error = 0, magnitude = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      const double difference = got[got.size() - want.size() + i] - want[i];
      error += difference * difference;
      magnitude += want[i] * want[i];
    }
    // Rounding rows to int8 costs an input 1/254 of its block's largest, about 0.6 % of the root
    // mean square. At most 17 such products follow one another (four in a layer, and the head),
    // and their errors walk like the root: 2.5 %. Float weights round at 2^-24 alone.
    const bool rounds = model.mixed_types.size() > 3;
    EXPECT_LT(std::sqrt(error / magnitude), rounds ? 2.5e-2 : 1e-5)
        << "heads of " << model.head_dim << ", rotated " << model.rope_dims;
    EXPECT_GT(std::sqrt(magnitude / static_cast<double>(want.size())), 0.05);
  }
}

}  // namespace
}  // namespace mortar
