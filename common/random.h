// Randomness as it is passed in, of two kinds: numbers that a seed repeats (sampling), and
// numbers that nobody can guess (session ids, keys).
#pragma once

#include <array>
#include <cstdint>

namespace mortar {

// Philox4x32-10: 128 random bits as a pure function of a 128-bit counter and a 64-bit key.
// Any draw can be computed again without the draws before it, which is what lets a request
// be replayed on another node.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC11).
std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, uint64_t key);

// A uniform number in [0, 1) with 24 bits, for `draw` number `draw` of output token
// `output_index` of choice `choice` of a request seeded `seed`.
float UniformDraw(uint64_t seed, uint32_t choice, uint64_t output_index, uint32_t draw);

// Where ids come from. Passed in, so that a simulation repeats.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void Fill(uint8_t* bytes, int n) = 0;
};

// The kernel's generator. Thread-safe.
class SystemRandom final : public RandomSource {
 public:
  void Fill(uint8_t* bytes, int n) override;
};

// A stream that a seed repeats: for simulation and tests, never for ids that must be secret.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : seed_(seed) {}
  void Fill(uint8_t* bytes, int n) override;

 private:
  uint64_t seed_;
  uint64_t next_ = 0;
};

}  // namespace mortar
