// From the row-major blocks of a GGUF file to the layout of PackedMatrix, and its size.
#pragma once

#include <cstdint>

#include "engine/kernels/kernels.h"

namespace mortar {

// Bytes of one row of n_in inputs as the file holds it.
size_t FileRowBytes(WeightType type, int n_in);

// Packs groups [group_begin, group_end). `src` is the whole matrix, [n_out] file rows; `dst`
// has w.bytes(). Safe in parallel for disjoint groups.
void PackGroups(const PackedMatrix& w, const uint8_t* src, int group_begin, int group_end,
                uint8_t* dst);

}  // namespace mortar
