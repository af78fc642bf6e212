// exp of eight lanes: the operations of engine/kernels/exp.h in the same order.
#pragma once

#include <immintrin.h>

#include "engine/kernels/exp.h"

namespace mortar {

static inline __m256 PowerOfTwo8(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

static inline __m256 Exp8(__m256 x) {
  using C = ExpConstants;
  // The constant stands first: min and max return their second operand when one is NaN.
  x = _mm256_max_ps(_mm256_set1_ps(C::kMin), x);
  x = _mm256_min_ps(_mm256_set1_ps(C::kMax), x);
  const __m256 magic = _mm256_set1_ps(C::kMagic);
  const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(C::kLog2E), magic);
  const __m256 n = _mm256_sub_ps(shifted, magic);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(C::kLn2High), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(C::kLn2Low), r);
  __m256 p = _mm256_set1_ps(C::kC7);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(C::kC6));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(C::kC5));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(C::kC4));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(C::kC3));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(C::kC2));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  const __m256i power = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(magic));
  const __m256i half = _mm256_srai_epi32(power, 1);
  p = _mm256_mul_ps(p, PowerOfTwo8(half));
  return _mm256_mul_ps(p, PowerOfTwo8(_mm256_sub_epi32(power, half)));
}

}  // namespace mortar
