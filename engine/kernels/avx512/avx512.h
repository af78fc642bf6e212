#pragma once

#include "engine/kernels/kernels.h"

namespace mortar::avx512 {

// The part of the table that AVX-512 has of its own, for x86-64 CPUs with its F, BW, DQ, VL and
// VNNI parts. Everything else of the table is AVX2's, which such CPUs have too.
void Linear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
            const LinearOutput& y);

}  // namespace mortar::avx512
