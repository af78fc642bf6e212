// tanh and gelu of eight lanes: the operations of engine/kernels/tanh.h in the same order.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx2/exp.h"
#include "engine/kernels/tanh.h"

namespace mortar {

// Both forms are computed; each lane takes its own.
static inline __m256 Tanh8(__m256 x) {
  using C = TanhConstants;
  const __m256 sign_bit = _mm256_set1_ps(-0.0f);
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 a = _mm256_andnot_ps(sign_bit, x);
  const __m256 z = _mm256_mul_ps(a, a);
  __m256 p = _mm256_set1_ps(C::kC5);
  p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(C::kC4));
  p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(C::kC3));
  p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(C::kC2));
  p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(C::kC1));
  p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(C::kC0));
  const __m256 small = _mm256_fmadd_ps(_mm256_mul_ps(a, z), p, a);
  const __m256 e = Exp8(_mm256_add_ps(a, a));
  const __m256 large =
      _mm256_sub_ps(one, _mm256_div_ps(_mm256_set1_ps(2.0f), _mm256_add_ps(e, one)));
  const __m256 is_small = _mm256_cmp_ps(a, _mm256_set1_ps(C::kSmall), _CMP_LT_OQ);
  const __m256 tanh = _mm256_blendv_ps(large, small, is_small);
  return _mm256_or_ps(tanh, _mm256_and_ps(sign_bit, x));
}

static inline __m256 SoftCap8(__m256 x, __m256 cap) {
  return _mm256_mul_ps(cap, Tanh8(_mm256_div_ps(x, cap)));
}

static inline __m256 Gelu8(__m256 x) {
  using C = TanhConstants;
  const __m256 inner =
      _mm256_fmadd_ps(_mm256_set1_ps(C::kGelu3), _mm256_mul_ps(x, x), _mm256_set1_ps(C::kGelu1));
  const __m256 twice_u = _mm256_mul_ps(x, inner);
  const __m256 e = Exp8(_mm256_xor_ps(twice_u, _mm256_set1_ps(-0.0f)));
  return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

}  // namespace mortar
