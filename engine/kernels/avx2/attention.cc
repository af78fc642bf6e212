// KV and attention with AVX2: scores hold one key in a lane, values one element of the head.
#include <immintrin.h>

#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/exp.h"
#include "engine/kernels/avx2/tanh.h"
#include "engine/kernels/shared.h"

namespace mortar {
namespace avx2 {
namespace {

template <KvType kType>
inline __m256 LoadKv8(const uint8_t* base, size_t at) {
  if constexpr (kType == KvType::kF16) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(base + 2 * at)));
  } else {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(base) + at);
  }
}

template <KvType kType>
inline float LoadKv(const uint8_t* base, size_t at) {
  return kType == KvType::kF16 ? HalfToFloat(LoadU16(base + 2 * at)) : LoadF32(base + 4 * at);
}

struct SpanResult {
  float max;
  float sum;
};

// The keys of a span that are seen: [from, end). `aligned`, a multiple of 16, is the first whose
// score is computed; scores[0] is that of `begin`.
struct SpanKeys {
  int begin;
  int aligned;
  int from;
  int end;
};

// Scores of keys [aligned, end) and their maximum; those that are not seen, and the rest of the
// last block of 8, are -infinity.
template <KvType kType>
float Scores(const AttendArgs& a, const SpanKeys& keys) {
  const int head_dim = a.shape.head_dim;
  const size_t head = a.shape.head_elements() * a.kv_head;
  const __m256 scale = _mm256_set1_ps(a.scale);
  const __m256 nothing = _mm256_set1_ps(-__builtin_inff());
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256 max = nothing;
  for (int p = keys.aligned; p < keys.end; p += 8) {
    const uint8_t* k = a.pages[p / kKvPagePositions] + a.layer_offset;
    const size_t block = head + static_cast<size_t>(p % kKvPagePositions) * head_dim;
    __m256 dot = _mm256_setzero_ps();
    for (int d = 0; d < head_dim; ++d) {
      dot = _mm256_fmadd_ps(_mm256_set1_ps(a.q[d]),
                            LoadKv8<kType>(k, block + static_cast<size_t>(d) * 8), dot);
    }
    dot = _mm256_mul_ps(dot, scale);
    if (a.cap > 0) dot = SoftCap8(dot, _mm256_set1_ps(a.cap));
    if (keys.end - p < 8) {
      const __m256i seen = _mm256_cmpgt_epi32(_mm256_set1_epi32(keys.end - p), lane);
      dot = _mm256_blendv_ps(nothing, dot, _mm256_castsi256_ps(seen));
    }
    if (p < keys.from) {
      const __m256i hidden = _mm256_cmpgt_epi32(_mm256_set1_epi32(keys.from - p), lane);
      dot = _mm256_blendv_ps(dot, nothing, _mm256_castsi256_ps(hidden));
    }
    _mm256_storeu_ps(a.scores + (p - keys.begin), dot);
    max = _mm256_max_ps(dot, max);
  }
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(max), _mm256_extractf128_ps(max, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

// scores := exp(scores - max); their sum by rule 5. Those that are not seen hold -infinity and
// become exactly 0, which adds nothing.
float ExpAndSum(float* scores, int n, float max) {
  __m256 partial[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  const __m256 top = _mm256_set1_ps(max);
  for (int i = 0; i < n; i += 8) {
    const __m256 e = Exp8(_mm256_sub_ps(_mm256_loadu_ps(scores + i), top));
    _mm256_storeu_ps(scores + i, e);
    partial[(i / 8) % 2] = _mm256_add_ps(partial[(i / 8) % 2], e);
  }
  float folded[16];
  _mm256_storeu_ps(folded, partial[0]);
  _mm256_storeu_ps(folded + 8, partial[1]);
  return FoldSixteen(folded);
}

// acc[kVectors * 8] = sum of e v over the keys seen, for elements from `first` on.
template <KvType kType, int kVectors>
void WeighValues(const AttendArgs& a, const SpanKeys& keys, int first, float* out) {
  const int head_dim = a.shape.head_dim;
  const size_t head = a.shape.head_elements() * a.kv_head + first;
  __m256 acc[kVectors];
  for (int i = 0; i < kVectors; ++i) acc[i] = _mm256_setzero_ps();
  for (int p = keys.from; p < keys.end; ++p) {
    const uint8_t* v = a.pages[p / kKvPagePositions] + a.layer_offset + a.shape.k_bytes();
    const size_t row = head + static_cast<size_t>(p % kKvPagePositions) * head_dim;
    const __m256 e = _mm256_set1_ps(a.scores[p - keys.begin]);
    for (int i = 0; i < kVectors; ++i) {
      acc[i] = _mm256_fmadd_ps(e, LoadKv8<kType>(v, row + 8 * static_cast<size_t>(i)), acc[i]);
    }
  }
  for (int i = 0; i < kVectors; ++i) _mm256_storeu_ps(out + first + 8 * i, acc[i]);
}

template <KvType kType>
SpanResult AttendSpan(const AttendArgs& a, int begin, int end, float* acc) {
  const int from = a.first_key > begin ? a.first_key : begin;
  const SpanKeys keys = {begin, from / 16 * 16, from, end};
  const float max = Scores<kType>(a, keys);
  const float sum = ExpAndSum(a.scores + (keys.aligned - begin), end - keys.aligned, max);
  const int head_dim = a.shape.head_dim;
  int first = 0;
  for (; first + 64 <= head_dim; first += 64) WeighValues<kType, 8>(a, keys, first, acc);
  for (; first + 8 <= head_dim; first += 8) WeighValues<kType, 1>(a, keys, first, acc);
  for (; first < head_dim; ++first) {
    acc[first] = 0;
    for (int p = from; p < end; ++p) {
      const uint8_t* v = a.pages[p / kKvPagePositions] + a.layer_offset + a.shape.k_bytes();
      const size_t at = a.shape.head_elements() * a.kv_head +
                        static_cast<size_t>(p % kKvPagePositions) * head_dim + first;
      acc[first] = Fma(a.scores[p - begin], LoadKv<kType>(v, at), acc[first]);
    }
  }
  return {max, sum};
}

template <KvType kType>
void AttendOf(const AttendArgs& a) {
  float acc[kHeadDimMax];
  SpanResult whole{};
  const int first = a.first_key / kSpan * kSpan;
  for (int begin = first; begin < a.n_keys; begin += kSpan) {
    const int end = begin + kSpan < a.n_keys ? begin + kSpan : a.n_keys;
    if (begin == first) {
      whole = AttendSpan<kType>(a, begin, end, a.out);
      continue;
    }
    const SpanResult span = AttendSpan<kType>(a, begin, end, acc);
    const float max = span.max > whole.max ? span.max : whole.max;
    const float keep = ExpScalar(whole.max - max);
    const float join = ExpScalar(span.max - max);
    whole = {max, Fma(span.sum, join, whole.sum * keep)};
    for (int d = 0; d < a.shape.head_dim; ++d) a.out[d] = Fma(acc[d], join, a.out[d] * keep);
  }
  for (int d = 0; d < a.shape.head_dim; ++d) a.out[d] = a.out[d] / whole.sum;
}

// Eight values as they are stored.
template <KvType kType>
inline void StoreEight(uint8_t* base, size_t at, __m256 v) {
  if constexpr (kType == KvType::kF16) {
    const __m128i half = _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(base + 2 * at), half);
  } else {
    _mm256_storeu_ps(reinterpret_cast<float*>(base) + at, v);
  }
}

template <KvType kType>
inline void StoreOne(uint8_t* base, size_t at, float v) {
  if constexpr (kType == KvType::kF16) {
    const uint16_t half = static_cast<uint16_t>(_cvtss_sh(v, _MM_FROUND_TO_NEAREST_INT));
    std::memcpy(base + 2 * at, &half, 2);
  } else {
    std::memcpy(base + 4 * at, &v, 4);
  }
}

template <KvType kType>
void StoreKvOf(const KvShape& shape, uint8_t* layer, int slot, const float* k, const float* v) {
  uint8_t* v_base = layer + shape.k_bytes();
  for (int h = 0; h < shape.n_kv_heads; ++h) {
    const size_t head = shape.head_elements() * h;
    const size_t k_block = head + static_cast<size_t>(slot / 8 * 8) * shape.head_dim + slot % 8;
    const size_t v_row = head + static_cast<size_t>(slot) * shape.head_dim;
    const float* k_head = k + static_cast<size_t>(h) * shape.head_dim;
    const float* v_head = v + static_cast<size_t>(h) * shape.head_dim;
    for (int d = 0; d < shape.head_dim; ++d) {
      StoreOne<kType>(layer, k_block + static_cast<size_t>(d) * 8, k_head[d]);
    }
    int d = 0;
    for (; d + 8 <= shape.head_dim; d += 8) {
      StoreEight<kType>(v_base, v_row + d, _mm256_loadu_ps(v_head + d));
    }
    for (; d < shape.head_dim; ++d) StoreOne<kType>(v_base, v_row + d, v_head[d]);
  }
}

}  // namespace

void StoreKv(const KvShape& shape, uint8_t* layer, int slot, const float* k, const float* v) {
  if (shape.type == KvType::kF16) return StoreKvOf<KvType::kF16>(shape, layer, slot, k, v);
  return StoreKvOf<KvType::kF32>(shape, layer, slot, k, v);
}

void Attend(const AttendArgs& args) {
  if (args.shape.type == KvType::kF16) return AttendOf<KvType::kF16>(args);
  return AttendOf<KvType::kF32>(args);
}

}  // namespace avx2
}  // namespace mortar
