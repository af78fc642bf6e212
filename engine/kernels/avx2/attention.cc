// KV and attention with AVX2: scores hold one key in a lane, values one element of the head. What
// is read of the KV serves several heads, and each of their sums still runs in its own order.
#include <immintrin.h>

#include "engine/kernels/attention_spans.h"
#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/exp.h"
#include "engine/kernels/avx2/tanh.h"

namespace mortar {
namespace avx2 {
namespace {

// Eight elements from the `at`th on of what begins at `base`, floats or halves.
template <KvType kType>
inline __m256 LoadKv8(const uint8_t* base, size_t at) {
  if constexpr (kType == KvType::kF16) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(base + 2 * at)));
  } else {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(base) + at);
  }
}

// Eight quants of q8_0, not yet scaled.
inline __m256 LoadQuants8(const uint8_t* quants) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(quants));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

// Blocks of eight keys that are taken at once; with kHeadsAtOnce heads their sums fill the
// registers.
constexpr int kKeyBlocks = 4;

// dot[h][b] += q of head h times elements [begin, end) of the eight keys at keys[b]; load(b, d)
// gives element d of them. Asks for as many elements of the keys at next[b].
template <KvType kType, int kHeads, int kBlocks, typename Load>
inline void AddDotProducts(const AttendArgs& a, int begin, int end, const Load& load,
                           const uint8_t* const (&next)[kBlocks], __m256 (&dot)[kHeads][kBlocks]) {
  // Of eight keys.
  constexpr int kElementBytes = kType == KvType::kF32 ? 32 : kType == KvType::kF16 ? 16 : 8;
  constexpr int kElementsOfLine = static_cast<int>(kLineBytes) / kElementBytes;
  for (int first = begin; first < end; first += kElementsOfLine) {
    for (const uint8_t* keys : next) Prefetch(keys + first * kElementBytes, kLineBytes);
    const int last = first + kElementsOfLine < end ? first + kElementsOfLine : end;
    for (int d = first; d < last; ++d) {
      __m256 q[kHeads];
      for (int h = 0; h < kHeads; ++h) q[h] = _mm256_set1_ps(a.q[h * a.shape.head_dim + d]);
      for (int b = 0; b < kBlocks; ++b) {
        const __m256 key = load(b, d);
        for (int h = 0; h < kHeads; ++h) dot[h][b] = _mm256_fmadd_ps(q[h], key, dot[h][b]);
      }
    }
  }
}

// dot[h][b] = q of head h times the keys [p + 8 b, p + 8 b + 8).
template <KvType kType, int kHeads, int kBlocks>
inline void DotProducts(const AttendArgs& a, int p, __m256 (&dot)[kHeads][kBlocks]) {
  const int head_dim = a.shape.head_dim;
  const uint8_t* keys[kBlocks];
  const uint8_t* next[kBlocks];  // what is asked for; the last ones have none behind them
  for (int b = 0; b < kBlocks; ++b) {
    const int at = p + 8 * b;
    keys[b] = KeysOf(a, at);
    next[b] = at + kPositionsAhead < a.n_keys ? KeysOf(a, at + kPositionsAhead) : keys[b];
    for (int h = 0; h < kHeads; ++h) dot[h][b] = _mm256_setzero_ps();
  }
  if constexpr (kType == KvType::kQ8_0) {
    for (int first = 0; first < head_dim; first += kBlock) {
      __m256 scale[kBlocks];
      for (int b = 0; b < kBlocks; ++b) {
        scale[b] = LoadKv8<KvType::kF16>(keys[b], 0);
        keys[b] += 16;
      }
      const auto load = [&](int b, int d) {
        return _mm256_mul_ps(scale[b], LoadQuants8(keys[b] + 8 * (d - first)));
      };
      AddDotProducts<kType>(a, first, first + kBlock, load, next, dot);
      for (int b = 0; b < kBlocks; ++b) keys[b] += 8 * kBlock;
    }
  } else {
    const auto load = [&](int b, int d) {
      return LoadKv8<kType>(keys[b], static_cast<size_t>(d) * 8);
    };
    AddDotProducts<kType>(a, 0, head_dim, load, next, dot);
  }
}

// The scores of eight keys from `p` on; -infinity where one is not seen.
inline __m256 ScoresOf(const AttendArgs& a, const SpanKeys& keys, int p, __m256 dot) {
  const __m256 nothing = _mm256_set1_ps(-__builtin_inff());
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  dot = _mm256_mul_ps(dot, _mm256_set1_ps(a.scale));
  if (a.cap > 0) dot = SoftCap8(dot, _mm256_set1_ps(a.cap));
  if (keys.end - p < 8) {
    const __m256i seen = _mm256_cmpgt_epi32(_mm256_set1_epi32(keys.end - p), lane);
    dot = _mm256_blendv_ps(nothing, dot, _mm256_castsi256_ps(seen));
  }
  if (p < keys.from) {
    const __m256i hidden = _mm256_cmpgt_epi32(_mm256_set1_epi32(keys.from - p), lane);
    dot = _mm256_blendv_ps(dot, nothing, _mm256_castsi256_ps(hidden));
  }
  return dot;
}

// The same of kBlocks blocks and all heads, stored, and taken into `max`.
template <KvType kType, int kHeads, int kBlocks>
inline void ScoreBlocks(const AttendArgs& a, const SpanKeys& keys, int p, __m256 (&max)[kHeads]) {
  __m256 dot[kHeads][kBlocks];
  DotProducts<kType>(a, p, dot);
  for (int h = 0; h < kHeads; ++h) {
    for (int b = 0; b < kBlocks; ++b) {
      const __m256 scores = ScoresOf(a, keys, p + 8 * b, dot[h][b]);
      _mm256_storeu_ps(a.scores + h * kSpan + (p + 8 * b - keys.begin), scores);
      max[h] = _mm256_max_ps(scores, max[h]);
    }
  }
}

inline float LargestOf(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

// What the walks of attention_spans.h ask of an instruction set.
struct Vectors {
  static constexpr int kWidth = 8;  // floats of a vector
  // Vectors of a head's values whose sums are held at once.
  static constexpr int AtOnce(int n_heads) { return n_heads == 1 ? 8 : 4; }

  // Scores of keys [aligned, end) of each head, and the largest; those that are not seen, and the
  // rest of the last block of 8, are -infinity.
  template <KvType kType, int kHeads>
  static void Scores(const AttendArgs& a, const SpanKeys& keys, float (&largest)[kHeads]) {
    __m256 max[kHeads];
    for (int h = 0; h < kHeads; ++h) max[h] = _mm256_set1_ps(-__builtin_inff());
    int p = keys.aligned;
    for (; p + 8 * (kKeyBlocks - 1) < keys.end; p += 8 * kKeyBlocks) {
      ScoreBlocks<kType, kHeads, kKeyBlocks>(a, keys, p, max);
    }
    for (; p < keys.end; p += 8) ScoreBlocks<kType, kHeads, 1>(a, keys, p, max);
    for (int h = 0; h < kHeads; ++h) largest[h] = LargestOf(max[h]);
  }

  // scores := exp(scores - max); their sum by rule 5. Those that are not seen hold -infinity and
  // become exactly 0, which adds nothing.
  static float ExpAndSum(float* scores, int n, float max) {
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

  // out[h][first + kVectors * 8] = sum of e v over the keys seen, of each head. In q8_0 four
  // vectors share a scale: `first` is a multiple of 32, or kVectors is 1.
  template <KvType kType, int kHeads, int kVectors>
  static void WeighValues(const AttendArgs& a, const SpanKeys& keys, int first, float* out) {
    const int head_dim = a.shape.head_dim;
    __m256 acc[kHeads][kVectors];
    for (auto& of_head : acc) {
      for (__m256& sum : of_head) sum = _mm256_setzero_ps();
    }
    for (int p = keys.from; p < keys.end; ++p) {
      const uint8_t* v = ValueOf(a, p);
      if (first == 0) PrefetchValue(a, p);  // all of it, before the first of its elements
      __m256 e[kHeads];
      for (int h = 0; h < kHeads; ++h) e[h] = _mm256_set1_ps(a.scores[h * kSpan + p - keys.begin]);
      [[maybe_unused]] __m256 scale = _mm256_setzero_ps();
      for (int i = 0; i < kVectors; ++i) {
        const int at = first + 8 * i;
        __m256 value;
        if constexpr (kType == KvType::kQ8_0) {
          const uint8_t* block = v + at / kBlock * kKvBlockBytes;
          if (i % 4 == 0) scale = _mm256_set1_ps(_cvtsh_ss(LoadU16(block)));
          value = _mm256_mul_ps(scale, LoadQuants8(block + 2 + at % kBlock));
        } else {
          value = LoadKv8<kType>(v, static_cast<size_t>(at));
        }
        for (int h = 0; h < kHeads; ++h) acc[h][i] = _mm256_fmadd_ps(e[h], value, acc[h][i]);
      }
    }
    for (int h = 0; h < kHeads; ++h) {
      for (int i = 0; i < kVectors; ++i) {
        _mm256_storeu_ps(out + h * head_dim + first + 8 * i, acc[h][i]);
      }
    }
  }

  // Eight values as they are stored.
  template <KvType kType>
  static void StoreVector(uint8_t* base, size_t at, const float* values) {
    const __m256 v = _mm256_loadu_ps(values);
    if constexpr (kType == KvType::kF16) {
      const __m128i half = _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(base + 2 * at), half);
    } else {
      _mm256_storeu_ps(reinterpret_cast<float*>(base) + at, v);
    }
  }

  template <KvType kType>
  static void StoreOne(uint8_t* base, size_t at, float v) {
    if constexpr (kType == KvType::kF16) {
      const uint16_t half = static_cast<uint16_t>(_cvtss_sh(v, _MM_FROUND_TO_NEAREST_INT));
      std::memcpy(base + 2 * at, &half, 2);
    } else {
      std::memcpy(base + 4 * at, &v, 4);
    }
  }
};

}  // namespace

void StoreKv(const KvShape& shape, uint8_t* layer, int slot, const float* k, const float* v) {
  StoreKvWith<Vectors>(shape, layer, slot, k, v, Quantize);
}

void Attend(const AttendArgs& args) { AttendWith<Vectors>(args); }

}  // namespace avx2
}  // namespace mortar
