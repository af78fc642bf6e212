#include "engine/kernels/float_environment.h"

#include <cfenv>
#include <cstdint>

namespace mortar {

// FE_DFL_ENV restores the control word that a process starts with, which on x86-64 and ARM64
// clears the flush-to-zero bits as well. On ARM64 some bits it leaves as they are, that of another
// format of halves among them; a process starts with none set.
void SetFloatEnvironment() {
  std::fesetenv(FE_DFL_ENV);
#if defined(__aarch64__)
  __asm__ __volatile__("msr fpcr, %0" : : "r"(uint64_t{0}));
#endif
}

namespace {

// Whether halves have infinities, as the one format of theirs that is meant everywhere.
bool HalvesHaveInfinities() {
#if defined(__aarch64__)
  volatile float large = 0x1p17f;  // beyond the largest half; the other format ends at 131008
  const volatile auto half = static_cast<__fp16>(large);
  return static_cast<float>(half) == __builtin_inff();
#else
  return true;
#endif
}

}  // namespace

bool FloatEnvironmentHolds() {
  // volatile: the answer must come from the unit, not from the compiler.
  volatile float smallest_normal = 0x1p-126f;
  const float subnormal = smallest_normal * 0.5f;  // 0 under flush-to-zero
  volatile float stored = subnormal;
  const float back = stored * 0x1p126f;  // 0 under denormals-are-zero
  volatile float one = 1.0f;
  const float up = one + 0x1.8p-24f;  // to 1 + 2^-23 unless rounding down
  const float tie = one + 0x1p-24f;   // to 1 unless rounding up
  return back == 0.5f && up == 0x1.000002p0f && tie == 1.0f && HalvesHaveInfinities();
}

}  // namespace mortar
