// The kernels of instruction sets that this CPU may lack. avx512/linear.cc is compiled into this
// program with its instructions emulated, and so the linker leaves that of the library out.
#include "engine/kernels/avx512/avx512.h"
#include "engine/kernels/scalar/scalar.h"
#include "tests/unit/engine/kernels/random_rows.h"

namespace mortar {

std::vector<const KernelTable*> OtherKernels() {
  static const KernelTable kTable = [] {
    KernelTable kernels = ScalarKernels();
    kernels.name = "avx512, emulated";
    kernels.linear = avx512::Linear;
    return kernels;
  }();
  return {&kTable};
}

}  // namespace mortar
