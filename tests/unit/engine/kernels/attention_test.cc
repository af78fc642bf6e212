// Goal: attention agrees with its definition and sees no more than it should, and every
// instruction set gives the scalar reference's bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/kernels/arith.h"
#include "tests/unit/engine/kernels/random_rows.h"

namespace mortar {
namespace {

// Pages of one layer, filled by a kernel table. What no position fills stays NaN, so that a
// read beyond the keys would show.
struct Keys {
  KvShape shape;
  int n;
  std::vector<float> k, v;  // [n, n_kv_heads * head_dim]
  std::vector<std::vector<uint8_t>> memory;
  std::vector<const uint8_t*> pages;

  Keys(const KernelTable& kernels, KvShape s, int n_keys, uint64_t seed)
      : Keys(kernels, s, n_keys, RandomRow(n_keys * s.n_kv_heads * s.head_dim, seed),
             RandomRow(n_keys * s.n_kv_heads * s.head_dim, seed + 1)) {}
  Keys(const KernelTable& kernels, KvShape s, int n_keys, std::vector<float> k_rows,
       std::vector<float> v_rows)
      : shape(s), n(n_keys), k(std::move(k_rows)), v(std::move(v_rows)) {
    const size_t width = static_cast<size_t>(s.n_kv_heads) * s.head_dim;
    for (int p = 0; p < n; ++p) {
      if (p % kKvPagePositions == 0) memory.emplace_back(s.layer_bytes(), uint8_t{0xff});
      kernels.store_kv(s, memory.back().data(), p % kKvPagePositions, k.data() + p * width,
                       v.data() + p * width);
    }
    for (const auto& page : memory) pages.push_back(page.data());
  }
};

std::vector<float> Attend(const KernelTable& kernels, const Keys& keys, int n_keys, int kv_head,
                          const std::vector<float>& q, int first_key = 0, float cap = 0) {
  std::vector<float> out(q.size());
  std::vector<float> scores(kHeadsAtOnce * kSpan);
  kernels.attend({.shape = keys.shape,
                  .pages = keys.pages.data(),
                  .layer_offset = 0,
                  .kv_head = kv_head,
                  .n_heads = static_cast<int>(q.size()) / keys.shape.head_dim,
                  .first_key = first_key,
                  .n_keys = n_keys,
                  .scale = 0.3f,
                  .cap = cap,
                  .q = q.data(),
                  .out = out.data(),
                  .scores = scores.data()});
  return out;
}

// Softmax of head 1 of 2, 64 wide, over keys [first, n), with scores capped where cap is not 0.
std::vector<double> Softmax(const Keys& keys, int first, int n, const std::vector<float>& q,
                            double cap) {
  std::vector<double> weight(static_cast<size_t>(n)), want(64);
  double sum = 0;
  for (int p = first; p < n; ++p) {
    double dot = 0;
    for (int d = 0; d < 64; ++d) dot += static_cast<double>(q[d]) * keys.k[p * 128 + 64 + d];
    const double score = dot * static_cast<double>(0.3f);
    weight[p] = std::exp(cap == 0 ? score : cap * std::tanh(score / cap));
    sum += weight[p];
  }
  for (int p = first; p < n; ++p) {
    for (int d = 0; d < 64; ++d) want[d] += weight[p] / sum * keys.v[p * 128 + 64 + d];
  }
  return want;
}

TEST(Attend, AgreesWithSoftmaxInBinary64) {
  for (const int n : {1, 5, 64, 512, 513, 1100}) {
    const KvShape shape = {KvType::kF32, 2, 64};
    const Keys keys(Scalar(), shape, n, 40);
    const std::vector<float> q = RandomRow(64, 41);
    for (const int window : {n, 1, 17, 600}) {
      const int first = std::max(0, n - window);
      for (const float cap : {0.0f, 1.5f}) {
        const std::vector<float> out = Attend(Scalar(), keys, n, 1, q, first, cap);
        const std::vector<double> want = Softmax(keys, first, n, q, static_cast<double>(cap));
        // Values are of order 1; scores up to 10 carry 2^-21 of error into exp.
        for (int d = 0; d < 64; ++d) {
          ASSERT_NEAR(out[d], want[d], 2e-5) << n << " keys from " << first << ", cap " << cap;
        }
      }
    }
  }
}

TEST(Attend, SeesNoKeyBeforeItsWindow) {
  for (const KernelTable* kernels : {&Scalar(), *SelectKernels("")}) {
    const KvShape shape = {KvType::kF16, 1, 64};
    const Keys more(*kernels, shape, 1100, 52);
    const std::vector<float> q = RandomRow(64, 53);
    for (const int first : {1, 7, 8, 15, 16, 100, 511, 512, 513, 1099}) {
      Keys cut = more;  // the same keys, with everything before them unset
      for (int p = 0; p < first; ++p) {
        const std::vector<float> nan(64, NAN);
        kernels->store_kv(shape, cut.memory[p / 64].data(), p % 64, nan.data(), nan.data());
      }
      cut.pages.clear();
      for (const auto& page : cut.memory) cut.pages.push_back(page.data());
      const std::vector<float> a = Attend(*kernels, more, 1100, 0, q, first);
      ASSERT_TRUE(SameBits(a, Attend(*kernels, cut, 1100, 0, q, first)))
          << kernels->name << ' ' << first;
      ASSERT_FALSE(std::isnan(a[0]));
    }
  }
}

TEST(Attend, SeesNoLaterKey) {
  for (const KernelTable* kernels : {&Scalar(), *SelectKernels("")}) {
    const KvShape shape = {KvType::kF16, 1, 64};
    const Keys more(*kernels, shape, 700, 50);
    const std::vector<float> q = RandomRow(64, 51);
    for (const int n : {1, 3, 8, 9, 100, 511, 512, 513, 699}) {
      Keys exact = more;  // the same keys, with everything behind them unset
      for (int p = n; p < 700; ++p) {
        const std::vector<float> nan(64, NAN);
        kernels->store_kv(shape, exact.memory[p / 64].data(), p % 64, nan.data(), nan.data());
      }
      exact.pages.clear();
      for (const auto& page : exact.memory) exact.pages.push_back(page.data());
      const std::vector<float> a = Attend(*kernels, more, n, 0, q);
      ASSERT_TRUE(SameBits(a, Attend(*kernels, exact, n, 0, q))) << kernels->name << ' ' << n;
      ASSERT_FALSE(std::isnan(a[0]));
    }
  }
}

TEST(Attend, HeadsTakenTogetherGiveTheBitsOfEachByItself) {
  for (const KernelTable* kernels : {&Scalar(), *SelectKernels("")}) {
    for (const int head_dim : {20, 64, 80, 96}) {
      const KvType type = head_dim == 96 ? KvType::kQ8_0 : KvType::kF16;
      const Keys keys(*kernels, {type, 2, head_dim}, 600, 70);
      for (const int n_heads : {2, 3, 4, 5, 7, 8}) {
        const std::vector<float> q = RandomRow(n_heads * head_dim, 71, 3.0f);
        for (const int n : {1, 9, 33, 64, 600}) {
          const std::vector<float> together = Attend(*kernels, keys, n, 1, q, n / 3, 1.5f);
          for (int h = 0; h < n_heads; ++h) {
            const auto of = [&](const std::vector<float>& all) {
              return std::vector<float>(all.begin() + h * head_dim,
                                        all.begin() + (h + 1) * head_dim);
            };
            ASSERT_TRUE(SameBits(of(together), Attend(*kernels, keys, n, 1, of(q), n / 3, 1.5f)))
                << kernels->name << ' ' << n_heads << " heads of " << head_dim << ", " << n;
          }
        }
      }
    }
  }
}

// Rule 7 a second time: 32 values through a scale in f16. A whole row of blocks.
std::vector<float> ThroughBlocks(std::vector<float> x) {
  for (size_t begin = 0; begin < x.size(); begin += kBlock) {
    float amax = 0;
    for (int i = 0; i < kBlock; ++i) amax = std::max(amax, std::abs(x[begin + i]));
    if (amax < 0x1p-100f) amax = 0;
    const float d = HalfToFloat(FloatToHalf(amax / 127));
    for (int i = 0; i < kBlock; ++i) {
      const float scaled = amax == 0 ? 0 : x[begin + i] * (127 / amax);
      x[begin + i] = d * std::nearbyint(scaled);
    }
  }
  return x;
}

// Scores and values of q8_0 are those of f32 keys and values that were rounded before.
TEST(Attend, BlocksOfEightBitsAreReadAsTheirExactValues) {
  for (const KernelTable* kernels : {&Scalar(), *SelectKernels("")}) {
    for (const int head_dim : {32, 64, 96, 256}) {
      const Keys blocks(*kernels, {KvType::kQ8_0, 2, head_dim}, 600, 80);
      Keys exact(*kernels, {KvType::kF32, 2, head_dim}, 600, 80);
      exact.k = ThroughBlocks(exact.k);
      exact.v = ThroughBlocks(exact.v);
      for (int p = 0; p < exact.n; ++p) {
        kernels->store_kv(exact.shape, exact.memory[p / 64].data(), p % 64,
                          exact.k.data() + 2 * p * head_dim, exact.v.data() + 2 * p * head_dim);
      }
      const std::vector<float> q = RandomRow(3 * head_dim, 81, 3.0f);
      for (const int n : {1, 8, 40, 512, 600}) {
        ASSERT_TRUE(SameBits(Attend(*kernels, blocks, n, 1, q), Attend(*kernels, exact, n, 1, q)))
            << kernels->name << " head_dim " << head_dim << ", " << n;
      }
    }
  }
}

// A value's bytes are a row of GGUF's Q8_0, a key's the same ones in lanes.
TEST(StoreKv, BlocksOfEightBitsLieAsTheFileFormatHasThem) {
  const KvShape shape = {KvType::kQ8_0, 1, 64};
  std::vector<float> x(64);
  for (int i = 0; i < 64; ++i) x[i] = static_cast<float>(i - 31) * (i < 32 ? 1.0f : 0x1p-120f);
  x[1] = 127.0f / 64;  // with the block's largest, 31, it lies between two quants
  std::vector<uint8_t> page(shape.layer_bytes());
  ASSERT_EQ(page.size(), size_t{2} * 64 * 2 * 34);
  for (const KernelTable* kernels : {&Scalar(), *SelectKernels("")}) {
    kernels->store_kv(shape, page.data(), 11, x.data(), x.data());
    const uint8_t* value = page.data() + shape.k_bytes() + 11 * 68;
    EXPECT_EQ(LoadU16(value), FloatToHalf(31.0f / 127));
    EXPECT_EQ(LoadU16(value + 34), 0) << "too small for a scale";
    const uint8_t* keys = page.data() + 8 * 68;  // of positions 8 to 15
    for (int i = 0; i < 64; ++i) {
      const float want = i < 32 ? std::nearbyint(x[i] * (127.0f / 31)) : 0;
      EXPECT_EQ(static_cast<int8_t>(value[i / 32 * 34 + 2 + i % 32]), want) << i;
      EXPECT_EQ(static_cast<int8_t>(keys[i / 32 * 272 + 16 + i % 32 * 8 + 3]), want) << i;
    }
    EXPECT_EQ(LoadU16(keys + 2 * 3), FloatToHalf(31.0f / 127));
  }
}

TEST(StoreKv, DamageShowsInEveryFormat) {
  for (const KernelTable* kernels : {&Scalar(), *SelectKernels("")}) {
    for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
      const KvShape shape = {type, 1, 64};
      for (const float broken : {NAN, INFINITY}) {
        Keys keys(*kernels, shape, 3, 90);
        keys.v[64 + 5] = broken;
        kernels->store_kv(shape, keys.memory[0].data(), 1, keys.k.data() + 64, keys.v.data() + 64);
        const std::vector<float> out = Attend(*kernels, keys, 3, 0, RandomRow(64, 91));
        EXPECT_FALSE(std::isfinite(out[5])) << kernels->name;
      }
    }
  }
}

TEST(Attend, EveryInstructionSetGivesTheScalarBits) {
  for (const KernelTable* other : OtherKernels()) {
    Shapes shapes;
    for (const int head_dim : {2, 16, 20, 32, 64, 80, 96, 100, 128, 256}) {
      const int n = head_dim == 64 ? 1300 : 530;
      const std::vector<float> k = RandomRow(n * 3 * head_dim, 60);
      const std::vector<float> v = RandomRow(n * 3 * head_dim, 61);
      for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
        if (type == KvType::kQ8_0 && head_dim % kBlock != 0) continue;
        const KvShape shape = {type, 3, head_dim};
        const Keys a(Scalar(), shape, n, k, v);
        const Keys b(*other, shape, n, k, v);
        for (size_t i = 0; i < a.memory.size(); ++i) ASSERT_TRUE(a.memory[i] == b.memory[i]);
        const std::vector<float> q = RandomRow(head_dim, 61, 3.0f);
        for (const int keys : {1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 511, 512, 513, 529, n}) {
          if (!shapes.TakesNext()) continue;
          ASSERT_TRUE(SameBits(Attend(Scalar(), a, keys, 2, q), Attend(*other, b, keys, 2, q)))
              << other->name << " head_dim " << head_dim << " keys " << keys;
          for (const int window : {1, 5, 40, 513}) {
            const int first = std::max(0, keys - window);
            ASSERT_TRUE(SameBits(Attend(Scalar(), a, keys, 2, q, first, 1.5f),
                                 Attend(*other, b, keys, 2, q, first, 1.5f)))
                << other->name << " head_dim " << head_dim << " keys " << first << " to " << keys;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace mortar
