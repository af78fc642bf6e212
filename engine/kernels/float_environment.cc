#include "engine/kernels/float_environment.h"

#include <cfenv>

namespace mortar {

// FE_DFL_ENV restores the control word that a process starts with, which on x86-64 and ARM64
// clears the flush-to-zero bits as well.
void SetFloatEnvironment() { std::fesetenv(FE_DFL_ENV); }

bool FloatEnvironmentHolds() {
  // volatile: the answer must come from the unit, not from the compiler.
  volatile float smallest_normal = 0x1p-126f;
  const float subnormal = smallest_normal * 0.5f;  // 0 under flush-to-zero
  volatile float stored = subnormal;
  const float back = stored * 0x1p126f;  // 0 under denormals-are-zero
  volatile float one = 1.0f;
  const float up = one + 0x1.8p-24f;  // to 1 + 2^-23 unless rounding down
  const float tie = one + 0x1p-24f;   // to 1 unless rounding up
  return back == 0.5f && up == 0x1.000002p0f && tie == 1.0f;
}

}  // namespace mortar
