// The instruction sets that tests walk through.
#pragma once

namespace mortar {

// Every one that there are kernels for beside scalar, whether this CPU has it or not.
inline constexpr const char* kInstructionSetsBesideScalar[] = {"avx2", "avx512", "neon"};

}  // namespace mortar
