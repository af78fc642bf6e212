#pragma once

#include "engine/kernels/kernels.h"

namespace mortar {

// For ARM64 CPUs with the dot products of four bytes (dotprod, of ARMv8.2). Calling any of them
// elsewhere is an illegal instruction: SelectKernels() looks first.
const KernelTable& NeonKernels();

// The parts of the table, one file each.
namespace neon {
void Linear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
            const LinearOutput& y);
void StoreKv(const KvShape& shape, uint8_t* layer, int slot, const float* k, const float* v);
void Attend(const AttendArgs& args);
void Quantize(const float* x, int n, const RoundedRows<int8_t>& to);
}  // namespace neon

}  // namespace mortar
