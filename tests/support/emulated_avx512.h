// The instructions of engine/kernels/avx512 as functions that do the same with AVX2's, so that its
// kernels run on every CPU that has those. Most are SIMDe's (simd-everywhere); those that its
// version 0.7.4 lacks are put together here from halves, under names like its own.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

static inline __m512 JoinHalves(__m256 lower, __m256 upper) {
  return _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(lower)),
                                             _mm256_castps_pd(upper), 1));
}
static inline __m512i JoinHalves(__m256i lower, __m256i upper) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(lower), upper, 1);
}

static inline __m512 simde_here_mm512_cvtepi32_ps(__m512i v) {
  return JoinHalves(_mm256_cvtepi32_ps(_mm512_castsi512_si256(v)),
                    _mm256_cvtepi32_ps(_mm512_extracti64x4_epi64(v, 1)));
}
static inline __m512 simde_here_mm512_cvtph_ps(__m256i v) {
  return JoinHalves(_mm256_cvtph_ps(_mm256_castsi256_si128(v)),
                    _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1)));
}
static inline __m512i simde_here_mm512_cvtepu16_epi32(__m256i v) {
  return JoinHalves(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(v)),
                    _mm256_cvtepu16_epi32(_mm256_extracti128_si256(v, 1)));
}
static inline __m512i simde_here_mm512_cvtepu8_epi32(__m128i v) {
  return JoinHalves(_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8)));
}
static inline __m512i simde_here_mm512_cvtepi8_epi32(__m128i v) {
  return JoinHalves(_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_srli_si128(v, 8)));
}
static inline __m512 simde_here_mm512_maskz_loadu_ps(__mmask16 mask, const float* from) {
  float values[16] = {};
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) values[i] = from[i];
  }
  return _mm512_loadu_ps(values);
}
static inline void simde_here_mm512_mask_storeu_ps(float* to, __mmask16 mask, __m512 v) {
  float values[16];
  _mm512_storeu_ps(values, v);
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) to[i] = values[i];
  }
}

#define _mm512_cvtepi32_ps simde_here_mm512_cvtepi32_ps
#define _mm512_cvtph_ps simde_here_mm512_cvtph_ps
#define _mm512_cvtepu16_epi32 simde_here_mm512_cvtepu16_epi32
#define _mm512_cvtepu8_epi32 simde_here_mm512_cvtepu8_epi32
#define _mm512_cvtepi8_epi32 simde_here_mm512_cvtepi8_epi32
#define _mm512_maskz_loadu_ps simde_here_mm512_maskz_loadu_ps
#define _mm512_mask_storeu_ps simde_here_mm512_mask_storeu_ps
