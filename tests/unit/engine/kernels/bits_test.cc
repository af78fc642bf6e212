// Goal: the bits are the same on every machine, whatever its CPU and compiler. The other tests
// compare instruction sets that one program has; these digests were taken once, and hold for all.
#include <gtest/gtest.h>

#include "tests/unit/engine/kernels/random_rows.h"

namespace mortar {
namespace {

// FNV-1a, of 64 bits.
class Digest {
 public:
  template <typename T>
  void Add(const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
    for (size_t i = 0; i < values.size() * sizeof(T); ++i) {
      value_ = (value_ ^ bytes[i]) * 0x100000001b3u;
    }
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

template <typename Quant>
void AddRounded(const KernelTable& kernels, const std::vector<float>& x, Digest& digest) {
  const Rounded<Quant> rows(kernels, x);
  digest.Add(rows.q);
  digest.Add(rows.d);
  digest.Add(rows.s);
  digest.Add(rows.sum);
  digest.Add(rows.low);
}

uint64_t RowDigest(const KernelTable& kernels) {
  constexpr int kWidth = 96;
  Digest digest;
  for (const std::vector<float>& x : {RandomRow(kWidth, 1, 4.0f), ExtremeRow(kWidth, 2)}) {
    const std::vector<float> w = RandomRow(kWidth, 3), b = RandomRow(kWidth, 10);
    AddRounded<int8_t>(kernels, x, digest);
    AddRounded<int16_t>(kernels, x, digest);
    std::vector<float> y(kWidth - 1);
    for (const auto mul : {kernels.silu_mul, kernels.gelu_mul}) {
      mul(x.data(), w.data(), kWidth - 1, y.data());
      digest.Add(y);
    }
    kernels.rms_norm(x.data(), w.data(), kWidth - 1, 1e-5f, y.data());
    kernels.soft_cap(y.data(), kWidth - 1, 2.0f);
    digest.Add(y);
    kernels.layer_norm(x.data(), w.data(), b.data(), kWidth - 1, 1e-5f, y.data());
    digest.Add(y);
    y = x;
    kernels.gelu(y.data(), kWidth - 1);
    digest.Add(y);
    y = RandomRow(kWidth, 4);
    kernels.rope(y.data(), w.data(), x.data(), kWidth / 2);
    kernels.rope_halves(y.data(), x.data(), w.data(), kWidth / 2);
    digest.Add(y);
  }
  return digest.value();
}

// Every type of weights, over three spans of inputs.
uint64_t ProductDigest(const KernelTable& kernels) {
  constexpr int kRows = 3, kOutputs = 13;
  Digest digest;
  for (const ProductKind& kind : ProductKinds()) {
    const int n_in = WholeBlocks(kind.weights, 1056);
    const RandomMatrix m = MakeMatrix(kind.weights, kind.rows, kOutputs, n_in, 5);
    const std::vector<float> x = RandomRow(kRows * n_in, 6, 2.0f);
    Rounded<int8_t> narrow(kernels, x);
    Rounded<int16_t> wide(kernels, x);
    std::vector<float> y(static_cast<size_t>(kRows) * kOutputs);
    kernels.linear(m.w, 0, m.w.n_groups(), {x.data(), narrow.rows(), wide.rows(), kRows},
                   {y.data(), kOutputs, false});
    digest.Add(y);
    std::vector<float> row(static_cast<size_t>(n_in));
    kernels.unpack_row(m.w, 9, row.data());
    digest.Add(row);
  }
  return digest.value();
}

// Two heads over three spans of keys, the last ones alone, and scores that are capped.
uint64_t AttentionDigest(const KernelTable& kernels) {
  constexpr int kKeys = 1100;
  Digest digest;
  for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    const int dim = type == KvType::kQ8_0 ? kBlock : 20;  // whole blocks, or what fills no register
    const KvShape shape = {type, 1, dim};
    const std::vector<float> k = RandomRow(kKeys * dim, 7), v = RandomRow(kKeys * dim, 8);
    std::vector<std::vector<uint8_t>> pages;
    std::vector<const uint8_t*> at;
    for (int p = 0; p < kKeys; ++p) {
      if (p % kKvPagePositions == 0) pages.emplace_back(shape.layer_bytes());
      kernels.store_kv(shape, pages.back().data(), p % kKvPagePositions, k.data() + p * dim,
                       v.data() + p * dim);
    }
    for (const auto& page : pages) at.push_back(page.data());
    const std::vector<float> q = RandomRow(2 * dim, 9, 3.0f);
    for (const int first_key : {0, 1000}) {
      std::vector<float> out(static_cast<size_t>(2 * dim)), scores(kHeadsAtOnce * kSpan);
      kernels.attend({.shape = shape,
                      .pages = at.data(),
                      .n_heads = 2,
                      .first_key = first_key,
                      .n_keys = kKeys,
                      .scale = 0.3f,
                      .cap = first_key == 0 ? 0.0f : 1.5f,
                      .q = q.data(),
                      .out = out.data(),
                      .scores = scores.data()});
      digest.Add(out);
    }
  }
  return digest.value();
}

TEST(Bits, AreTheSameOnEveryMachine) {
  std::vector<const KernelTable*> tables = OtherKernels();
  tables.push_back(&Scalar());
  for (const KernelTable* kernels : tables) {
    EXPECT_EQ(RowDigest(*kernels), 0xa7afe298bdb06ce8u) << kernels->name;
    EXPECT_EQ(ProductDigest(*kernels), 0x109722c62d000539u) << kernels->name;
    EXPECT_EQ(AttentionDigest(*kernels), 0xc20550dac1b64a61u) << kernels->name;
  }
}

}  // namespace
}  // namespace mortar
