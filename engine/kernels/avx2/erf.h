// gelu by its definition, of eight lanes: the operations of engine/kernels/erf.h in the same order.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx2/exp.h"
#include "engine/kernels/erf.h"

namespace mortar {

static inline __m256 Tail8(__m256 a) {
  using C = TailConstants;
  // The constant stands first: min returns its second operand when one is NaN.
  a = _mm256_min_ps(_mm256_set1_ps(C::kMax), a);
  const __m256 minus_half = _mm256_set1_ps(-0.5f);
  const __m256 shift = _mm256_set1_ps(C::kShift);
  const __m256 square = _mm256_mul_ps(a, a);
  const __m256 lost = _mm256_fmsub_ps(a, a, square);
  const __m256 e = Exp8(_mm256_mul_ps(minus_half, square));
  const __m256 r = _mm256_div_ps(_mm256_set1_ps(1.0f), _mm256_add_ps(a, shift));
  const __m256 t = _mm256_mul_ps(_mm256_sub_ps(a, shift), r);
  __m256 p = _mm256_set1_ps(C::kC9);
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(C::kC8));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(C::kC7));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(C::kC6));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(C::kC5));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(C::kC4));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(C::kC3));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(C::kC2));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(C::kC1));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(C::kC0));
  const __m256 scaled = _mm256_mul_ps(p, r);
  return _mm256_mul_ps(e, _mm256_fmadd_ps(_mm256_mul_ps(minus_half, lost), scaled, scaled));
}

static inline __m256 GeluExact8(__m256 x) {
  const __m256 tail = Tail8(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), x));
  const __m256 rest = _mm256_sub_ps(_mm256_set1_ps(1.0f), tail);
  const __m256 is_below = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ);
  return _mm256_mul_ps(x, _mm256_blendv_ps(rest, tail, is_below));
}

}  // namespace mortar
