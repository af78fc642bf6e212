// Elementary functions of the numeric contract for code outside the kernels: the sampler and
// tables made at load time. None of them calls libm, whose results depend on the CPU.
#pragma once

namespace mortar {

float Exp(float x);  // below 1.1 ulp; the kernels' own

// binary64, absolute error below 1e-14 (sin, cos: for |x| < 2^20; relative for the others).
// They make the rotation table, which is rounded to f32 once.
double SinTable(double x);
double CosTable(double x);
double LogTable(double x);  // x > 0
double ExpTable(double x);

}  // namespace mortar
