// The K types of gguf_encode.h: blocks of 256 whose sub-blocks have small scales of their own.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/gguf/gguf.h"

namespace mortar {

// Appends the block of x[256]. The scales are the plain ones, of each sub-block's range; programs
// that make models search for better ones.
void EncodeSuperBlock(TensorType type, const float* x, std::vector<uint8_t>& out);

// The place in kIq4Table that is nearest to x / step.
int NearestIq4(float x, float step);

}  // namespace mortar
