// The values of GGUF tensors by the definition of their formats, exact in binary64. Plain and slow
// on purpose, and apart from the engine, like gguf_encode.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/gguf/gguf.h"

namespace mortar {

// Needs: whole blocks.
std::vector<double> DecodeTensor(TensorType type, std::span<const uint8_t> bytes);

}  // namespace mortar
