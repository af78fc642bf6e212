// Which kernels this CPU gets. Compiled without instruction-set flags: it runs everywhere.
#include <array>
#include <string>

#include "engine/kernels/kernels.h"
#include "engine/kernels/scalar/scalar.h"
#if defined(__x86_64__)
#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx512/avx512.h"
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

#include "engine/kernels/neon/neon.h"
#endif

namespace mortar {
namespace {

struct InstructionSet {
  const char* name;
  bool (*is_here)();
  const KernelTable& (*kernels)();
};

#if defined(__x86_64__)
bool CpuHasAvx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

bool CpuHasAvx512() {
  return CpuHasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

const KernelTable& Avx512Kernels() {
  static const KernelTable kTable = [] {
    KernelTable kernels = Avx2Kernels();
    kernels.name = "avx512";
    kernels.linear = avx512::Linear;
    return kernels;
  }();
  return kTable;
}
#elif defined(__aarch64__)
// Of what the kernels use, the dot products alone are not in every ARM64 CPU.
bool CpuHasDotProducts() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#endif

bool IsNotHere() { return false; }

// The best first. Those of other CPUs are known by name.
constexpr InstructionSet kInstructionSets[] = {
#if defined(__x86_64__)
    {"avx512", CpuHasAvx512, Avx512Kernels},
    {"avx2", CpuHasAvx2, Avx2Kernels},
    {"neon", IsNotHere, ScalarKernels},
#elif defined(__aarch64__)
    {"neon", CpuHasDotProducts, NeonKernels},
    {"avx512", IsNotHere, ScalarKernels},
    {"avx2", IsNotHere, ScalarKernels},
#endif
    {"scalar", [] { return true; }, ScalarKernels},
};

}  // namespace

absl::StatusOr<const KernelTable*> SelectKernels(std::string_view isa) {
  std::string known;
  for (const InstructionSet& set : kInstructionSets) {
    if ((isa.empty() || isa == set.name) && set.is_here()) return &set.kernels();
    if (isa == set.name) {
      return FailedPrecondition("instruction set '" + std::string(isa) +
                                "' was asked for, but this CPU lacks it");
    }
    known += (known.empty() ? "" : ", ") + std::string(set.name);
  }
  return InvalidArgument("instruction set '" + std::string(isa) + "' is unknown; known are " +
                         known);
}

}  // namespace mortar
