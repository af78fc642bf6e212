#include "tests/support/instruction_sets.h"
#include "tests/unit/engine/kernels/random_rows.h"

namespace mortar {

std::vector<const KernelTable*> OtherKernels() {
  std::vector<const KernelTable*> tables;
  for (const char* isa : kInstructionSetsBesideScalar) {
    if (auto table = SelectKernels(isa); table.ok()) tables.push_back(*table);
  }
  return tables;
}

}  // namespace mortar
