// Kernels over the elements of one row.
#include <immintrin.h>

#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/erf.h"
#include "engine/kernels/avx2/exp.h"
#include "engine/kernels/avx2/tanh.h"
#include "engine/kernels/shared.h"

namespace mortar {
namespace avx2 {
namespace {

float HorizontalMax(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_movehdup_ps(m));
  return _mm_cvtss_f32(m);
}

// The 32 values of a block, and their largest magnitude: NaN where one of them is.
float LoadBlock(const float* x, __m256* v) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 magnitude = _mm256_setzero_ps();
  __m256 unordered = _mm256_setzero_ps();
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_loadu_ps(x + 8 * i);
    magnitude = _mm256_max_ps(_mm256_andnot_ps(sign, v[i]), magnitude);
    unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(v[i], v[i], _CMP_UNORD_Q));
  }
  return _mm256_movemask_ps(unordered) != 0 ? __builtin_nanf("") : HorizontalMax(magnitude);
}

int HorizontalSum(__m128i s) {
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

int HorizontalSum(__m256i v) {
  return HorizontalSum(_mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

// The partial sums of rule 5 of whole sixteens: `of(i)` gives addends i to i + 7.
template <typename Of>
void SumSixteen(int n, float* partial, const Of& of) {
  __m256 low = _mm256_setzero_ps();
  __m256 high = _mm256_setzero_ps();
  for (int i = 0; i + 16 <= n; i += 16) {
    low = _mm256_add_ps(low, of(i));
    high = _mm256_add_ps(high, of(i + 8));
  }
  _mm256_storeu_ps(partial, low);
  _mm256_storeu_ps(partial + 8, high);
}

}  // namespace

void Quantize(const float* x, int n, const RoundedRows<int8_t>& to) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (int b = 0; b < n / kBlock; ++b) {
    __m256 v[4];
    const float amax = LoadBlock(x + b * kBlock, v);
    const bool tiny = amax < 0x1p-100f;
    const __m256 inverse = _mm256_set1_ps(tiny ? 0.0f : 127.0f / amax);
    // The same shift by 1.5 * 2^23 as the reference: the low byte is the nearest integer.
    const __m256 magic = _mm256_set1_ps(0x1.8p23f);
    const __m256i low = _mm256_set1_epi32(0xff);
    __m256i bytes[4];
    for (int i = 0; i < 4; ++i) {
      const __m256 shifted = _mm256_add_ps(_mm256_mul_ps(v[i], inverse), magic);
      bytes[i] = _mm256_and_si256(_mm256_castps_si256(shifted), low);
    }
    const __m256i words = _mm256_packus_epi32(bytes[0], bytes[1]);
    const __m256i words2 = _mm256_packus_epi32(bytes[2], bytes[3]);
    const __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words, words2), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.q + b * kBlock), packed);
    const __m256i ones = _mm256_set1_epi8(1);
    const __m256i sums =
        _mm256_madd_epi16(_mm256_maddubs_epi16(ones, packed), _mm256_set1_epi16(1));
    to.d[b] = tiny ? 0.0f : amax / 127.0f;
    to.low[b] = HorizontalSum(_mm256_castsi256_si128(sums));
    to.sum[b] = to.low[b] + HorizontalSum(_mm256_extracti128_si256(sums, 1));
    to.s[b] = to.d[b] * static_cast<float>(to.sum[b]);
  }
}

void QuantizeWide(const float* x, int n, const RoundedRows<int16_t>& to) {
  const __m256i low = _mm256_set1_epi32(0xffff);
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256 magic = _mm256_set1_ps(0x1.8p23f);
  for (int b = 0; b < n / kBlock; ++b) {
    __m256 v[4];
    const float amax = LoadBlock(x + b * kBlock, v);
    const bool tiny = amax < 0x1p-100f;
    const __m256 inverse = _mm256_set1_ps(tiny ? 0.0f : 32767.0f / amax);
    int sums[2];  // of inputs 0 to 15 and 16 to 31
    for (int i = 0; i < 4; i += 2) {
      const __m256 first = _mm256_add_ps(_mm256_mul_ps(v[i], inverse), magic);
      const __m256 second = _mm256_add_ps(_mm256_mul_ps(v[i + 1], inverse), magic);
      const __m256i words = _mm256_packus_epi32(_mm256_and_si256(_mm256_castps_si256(first), low),
                                                _mm256_and_si256(_mm256_castps_si256(second), low));
      sums[i / 2] = HorizontalSum(_mm256_madd_epi16(words, ones));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.q + b * kBlock + 8 * i),
                          _mm256_permute4x64_epi64(words, _MM_SHUFFLE(3, 1, 2, 0)));
    }
    to.d[b] = tiny ? 0.0f : amax / 32767.0f;
    to.low[b] = sums[0];
    to.sum[b] = sums[0] + sums[1];
    to.s[b] = to.d[b] * static_cast<float>(to.sum[b]);
  }
}

void RmsNorm(const float* x, const float* w, int n, float eps, float* y) {
  float partial[16];
  SumSixteen(n, partial, [x](int i) {
    const __m256 v = _mm256_loadu_ps(x + i);
    return _mm256_mul_ps(v, v);
  });
  for (int i = n / 16 * 16; i < n; ++i) partial[i % 16] += x[i] * x[i];
  const float mean = FoldSixteen(partial) / static_cast<float>(n);
  const float scale = 1.0f / __builtin_sqrtf(mean + eps);
  for (int j = 0; j < n; ++j) y[j] = (x[j] * scale) * w[j];
}

void LayerNorm(const float* x, const float* w, const float* b, int n, float eps, float* y) {
  float partial[16];
  SumSixteen(n, partial, [x](int i) { return _mm256_loadu_ps(x + i); });
  for (int i = n / 16 * 16; i < n; ++i) partial[i % 16] += x[i];
  const float mean = FoldSixteen(partial) / static_cast<float>(n);
  const __m256 means = _mm256_set1_ps(mean);
  SumSixteen(n, partial, [x, means](int i) {
    const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + i), means);
    return _mm256_mul_ps(d, d);
  });
  for (int i = n / 16 * 16; i < n; ++i) partial[i % 16] += (x[i] - mean) * (x[i] - mean);
  const float variance = FoldSixteen(partial) / static_cast<float>(n);
  const float scale = 1.0f / __builtin_sqrtf(variance + eps);
  for (int j = 0; j < n; ++j) y[j] = ((x[j] - mean) * scale) * w[j] + b[j];
}

void SiluMul(const float* g, const float* u, int n, float* y) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 x = _mm256_loadu_ps(g + i);
    const __m256 e = Exp8(_mm256_xor_ps(x, sign));
    const __m256 silu = _mm256_div_ps(x, _mm256_add_ps(one, e));
    _mm256_storeu_ps(y + i, _mm256_mul_ps(silu, _mm256_loadu_ps(u + i)));
  }
  for (; i < n; ++i) y[i] = SiluScalar(g[i]) * u[i];
}

void GeluMul(const float* g, const float* u, int n, float* y) {
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 gelu = Gelu8(_mm256_loadu_ps(g + i));
    _mm256_storeu_ps(y + i, _mm256_mul_ps(gelu, _mm256_loadu_ps(u + i)));
  }
  for (; i < n; ++i) y[i] = GeluScalar(g[i]) * u[i];
}

void Gelu(float* x, int n) {
  int i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, GeluExact8(_mm256_loadu_ps(x + i)));
  for (; i < n; ++i) x[i] = GeluExactScalar(x[i]);
}

void SoftCap(float* x, int n, float cap) {
  const __m256 caps = _mm256_set1_ps(cap);
  int i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, SoftCap8(_mm256_loadu_ps(x + i), caps));
  for (; i < n; ++i) x[i] = SoftCapScalar(x[i], cap);
}

}  // namespace avx2

const KernelTable& Avx2Kernels() {
  static constexpr KernelTable kTable = {
      .name = "avx2",
      .quantize = avx2::Quantize,
      .quantize_wide = avx2::QuantizeWide,
      .rms_norm = avx2::RmsNorm,
      .layer_norm = avx2::LayerNorm,
      .silu_mul = avx2::SiluMul,
      .gelu_mul = avx2::GeluMul,
      .gelu = avx2::Gelu,
      .soft_cap = avx2::SoftCap,
      .rope = RopeLoop,
      .rope_halves = RopeHalvesLoop,
      .linear = avx2::Linear,
      .unpack_row = UnpackRowLoop,
      .store_kv = avx2::StoreKv,
      .attend = avx2::Attend,
  };
  return kTable;
}

}  // namespace mortar
