#pragma once

#include "engine/kernels/kernels.h"

namespace mortar {

// Runs on every CPU: the reference of the numeric contract.
const KernelTable& ScalarKernels();

}  // namespace mortar
