// Which kernels this CPU gets. Compiled without instruction-set flags: it runs everywhere.
#include <string>

#include "engine/kernels/kernels.h"
#include "engine/kernels/scalar/scalar.h"
#if defined(__x86_64__)
#include "engine/kernels/avx2/avx2.h"
#endif

namespace mortar {
namespace {

bool CpuHasAvx2() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
#else
  return false;
#endif
}

}  // namespace

absl::StatusOr<const KernelTable*> SelectKernels(std::string_view isa) {
  if (isa == "scalar") return &ScalarKernels();
  if (!isa.empty() && isa != "avx2") {
    return InvalidArgument("instruction set '" + std::string(isa) +
                           "' is unknown; known are scalar, avx2");
  }
#if defined(__x86_64__)
  if (CpuHasAvx2()) return &Avx2Kernels();
#endif
  if (isa == "avx2") {
    return FailedPrecondition("instruction set 'avx2' was asked for, but this CPU lacks it");
  }
  return &ScalarKernels();
}

}  // namespace mortar
