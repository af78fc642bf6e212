#include "engine/kernels/math.h"

#include <bit>
#include <cstdint>

#include "engine/kernels/exp.h"

namespace mortar {
namespace {

struct Reduced {
  double r;      // in [-pi/4, pi/4]
  int quadrant;  // 0..3
};

// x - n pi/2, with pi/2 in three parts of 33 bits: n has at most 20 bits, so the first two
// products are exact.
Reduced ReduceQuarter(double x) {
  constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
  constexpr double kPart1 = 0x1.921fb544p+0;
  constexpr double kPart2 = 0x1.0b4611a6p-34;
  constexpr double kPart3 = 0x1.3198a2e037073p-69;
  constexpr double kMagic = 0x1.8p52;
  const double n = (x * kTwoOverPi + kMagic) - kMagic;
  const double r = ((x - n * kPart1) - n * kPart2) - n * kPart3;
  return {r, static_cast<int>(static_cast<int64_t>(n) & 3)};
}

// Taylor series to degree 17 and 16: the next term is below 1e-17 for |r| <= pi/4.
double SinSeries(double r) {
  const double z = r * r;
  double term = r;
  double sum = r;
  for (int k = 1; k <= 8; ++k) {
    term = -term * z / ((2.0 * k) * (2.0 * k + 1.0));
    sum += term;
  }
  return sum;
}

double CosSeries(double r) {
  const double z = r * r;
  double term = 1;
  double sum = 1;
  for (int k = 1; k <= 8; ++k) {
    term = -term * z / ((2.0 * k - 1.0) * (2.0 * k));
    sum += term;
  }
  return sum;
}

constexpr double kLn2 = 0x1.62e42fefa39efp-1;

}  // namespace

float Exp(float x) { return ExpScalar(x); }

double SinTable(double x) {
  const Reduced a = ReduceQuarter(x);
  switch (a.quadrant) {
    case 0:
      return SinSeries(a.r);
    case 1:
      return CosSeries(a.r);
    case 2:
      return -SinSeries(a.r);
    default:
      return -CosSeries(a.r);
  }
}

double CosTable(double x) {
  const Reduced a = ReduceQuarter(x);
  switch (a.quadrant) {
    case 0:
      return CosSeries(a.r);
    case 1:
      return -SinSeries(a.r);
    case 2:
      return -CosSeries(a.r);
    default:
      return SinSeries(a.r);
  }
}

// log(m 2^e) = e ln 2 + 2 atanh((m - 1) / (m + 1)), m in [sqrt(1/2), sqrt(2)).
double LogTable(double x) {
  int exponent = 0;
  if (x < 0x1p-1022) {  // a subnormal: bring it into the normal range first
    x *= 0x1p54;
    exponent = -54;
  }
  uint64_t bits = std::bit_cast<uint64_t>(x);
  exponent += static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffu) | (uint64_t{1023} << 52);
  double m = std::bit_cast<double>(bits);
  if (m > 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1) / (m + 1);
  const double z = s * s;
  double sum = 0;
  for (int k = 11; k >= 0; --k) sum = sum * z + 1.0 / (2 * k + 1);
  return static_cast<double>(exponent) * kLn2 + 2 * s * sum;
}

double ExpTable(double x) {
  constexpr double kMagic = 0x1.8p52;
  const double n = (x * 0x1.71547652b82fep+0 + kMagic) - kMagic;
  const double r = (x - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33;
  double sum = 1;
  for (int k = 16; k >= 1; --k) sum = 1 + sum * r / k;
  return sum * std::bit_cast<double>(static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52);
}

}  // namespace mortar
