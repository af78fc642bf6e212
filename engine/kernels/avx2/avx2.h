#pragma once

#include "engine/kernels/kernels.h"

namespace mortar {

// For x86-64 CPUs with AVX2, FMA and F16C. Calling any of them elsewhere is an illegal
// instruction: SelectKernels() looks first.
const KernelTable& Avx2Kernels();

// The parts of the table, one file each.
namespace avx2 {
void Linear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
            const LinearOutput& y);
void StoreKv(const KvShape& shape, uint8_t* layer, int slot, const float* k, const float* v);
void Attend(const AttendArgs& args);
void Quantize(const float* x, int n, const RoundedRows<int8_t>& to);
void QuantizeWide(const float* x, int n, const RoundedRows<int16_t>& to);
void RmsNorm(const float* x, const float* w, int n, float eps, float* y);
void LayerNorm(const float* x, const float* w, const float* b, int n, float eps, float* y);
void SiluMul(const float* g, const float* u, int n, float* y);
}  // namespace avx2

}  // namespace mortar
