// A value is d * scale * q - m * minimum, with q of four bits. For each block of 32 a few widths of
// step are tried; for each, the q nearest to the values are taken and then the step and the
// minimum that make the weighted squares of the errors least, by solving two linear equations.
// Values of great magnitude weigh more: what they are multiplied with counts alike, and an error
// relative to them shows in the product.
#include "engine/quantize/q4_k.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "engine/quantize/half.h"

namespace mortar {
namespace {

constexpr int kBlock = 32;
constexpr int kBlocks = kSuperBlock / kBlock;
constexpr int kLevelMax = 15;  // of q
constexpr int kSixBits = 63;   // of scales and minima
constexpr int kTrials = 20;    // widths of a step around the range's fifteenth

// value = step * q - minimum; both at least 0.
struct Line {
  float step = 0;
  float minimum = 0;
};

using Weights = std::array<float, kBlock>;

int Clamp(float value, int max) {
  // Written so that what is no number becomes 0.
  const float rounded = std::rint(value);
  if (!(rounded > 0)) return 0;
  return rounded >= static_cast<float>(max) ? max : static_cast<int>(rounded);
}

int Level(float value, const Line& line) {
  return line.step > 0 ? Clamp((value + line.minimum) / line.step, kLevelMax) : 0;
}

float Error(const float* values, const Weights& weights, const Line& line) {
  float error = 0;
  for (int i = 0; i < kBlock; ++i) {
    const float got = line.step * static_cast<float>(Level(values[i], line)) - line.minimum;
    error += weights[i] * (got - values[i]) * (got - values[i]);
  }
  return error;
}

// The best line for the levels that `line` gives; `line` itself where they are all alike.
Line Fit(const float* values, const Weights& weights, const Line& line) {
  float sum_w = 0, sum_q = 0, sum_qq = 0, sum_x = 0, sum_qx = 0;
  for (int i = 0; i < kBlock; ++i) {
    const auto q = static_cast<float>(Level(values[i], line));
    sum_w += weights[i];
    sum_q += weights[i] * q;
    sum_qq += weights[i] * q * q;
    sum_x += weights[i] * values[i];
    sum_qx += weights[i] * q * values[i];
  }
  const float determinant = sum_w * sum_qq - sum_q * sum_q;
  if (!(determinant > 0)) return line;
  Line best{(sum_w * sum_qx - sum_q * sum_x) / determinant,
            (sum_q * sum_qx - sum_qq * sum_x) / determinant};
  if (best.minimum < 0 && sum_qq > 0) best = {sum_qx / sum_qq, 0};
  return best.step > 0 ? best : line;
}

Line BestLine(const float* values) {
  float low = 0, high = values[0], squares = 0;
  for (int i = 0; i < kBlock; ++i) {
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
    squares += values[i] * values[i];
  }
  if (!(high > low)) return {0, -low};
  Weights weights;
  const float mean = std::sqrt(squares / kBlock);
  for (int i = 0; i < kBlock; ++i) weights[i] = mean + std::abs(values[i]);
  Line best{(high - low) / kLevelMax, -low};
  float least = Error(values, weights, best);
  for (int trial = 0; trial <= kTrials; ++trial) {
    const float levels = static_cast<float>(kLevelMax) - 1 + 0.1f * static_cast<float>(trial);
    const Line line = Fit(values, weights, {(high - low) / levels, -low});
    const float error = Error(values, weights, line);
    if (error < least) {
      least = error;
      best = line;
    }
  }
  return best;
}

void PutHalf(uint16_t half, uint8_t* to) { std::memcpy(to, &half, sizeof(half)); }

// The twelve bytes of eight pairs of six bits: the first four pairs lie in the low bits, the upper
// two bits of the others above them.
void PutPairs(const std::array<int, kBlocks>& scales, const std::array<int, kBlocks>& minima,
              uint8_t* to) {
  for (int i = 0; i < 4; ++i) {
    to[i] = static_cast<uint8_t>(scales[i] | scales[i + 4] >> 4 << 6);
    to[i + 4] = static_cast<uint8_t>(minima[i] | minima[i + 4] >> 4 << 6);
    to[i + 8] = static_cast<uint8_t>((scales[i + 4] & 15) | (minima[i + 4] & 15) << 4);
  }
}

}  // namespace

void QuantizeQ4K(const float* values, uint8_t* to) {
  std::array<Line, kBlocks> lines;
  float step_max = 0, minimum_max = 0;
  for (int b = 0; b < kBlocks; ++b) {
    lines[b] = BestLine(values + b * kBlock);
    step_max = std::max(step_max, lines[b].step);
    minimum_max = std::max(minimum_max, lines[b].minimum);
  }
  const uint16_t d_bits = ToHalf(step_max / kSixBits);
  const uint16_t m_bits = ToHalf(minimum_max / kSixBits);
  const float d = FromHalf(d_bits), m = FromHalf(m_bits);
  std::array<int, kBlocks> scales{}, minima{};
  for (int b = 0; b < kBlocks; ++b) {
    if (d > 0) scales[b] = Clamp(lines[b].step / d, kSixBits);
    if (m > 0) minima[b] = Clamp(lines[b].minimum / m, kSixBits);
  }
  std::memset(to, 0, kQ4KBytes);
  PutHalf(d_bits, to);
  PutHalf(m_bits, to + 2);
  PutPairs(scales, minima, to + 4);
  // Two blocks share 32 bytes: the first has the low halves.
  for (int i = 0; i < kSuperBlock; ++i) {
    const int b = i / kBlock;
    const Line line{d * static_cast<float>(scales[b]), m * static_cast<float>(minima[b])};
    const int q = Level(values[i], line);
    to[16 + b / 2 * kBlock + i % kBlock] |= static_cast<uint8_t>(q << (b % 2 * 4));
  }
}

}  // namespace mortar
