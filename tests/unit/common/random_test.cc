// Goal: the counter-based generator gives the published numbers, and draws are independent of
// the order in which they are asked for.
#include "common/random.h"

#include <gtest/gtest.h>

namespace mortar {
namespace {

// Known answers of philox4x32-10 from Random123's kat_vectors file.
TEST(Philox, GivesThePublishedVectors) {
  using Bits = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox({0, 0, 0, 0}, 0), (Bits{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({~0u, ~0u, ~0u, ~0u}, ~uint64_t{0}),
            (Bits{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822ull),
            (Bits{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(UniformDraw, LiesInTheUnitIntervalAndHasItsMean) {
  double sum = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const float u = UniformDraw(7, 0, static_cast<uint64_t>(i), 0);
    ASSERT_GE(u, 0.0f);
    ASSERT_LT(u, 1.0f);
    sum += u;
  }
  // The standard error of the mean is sqrt(1/12/n) = 0.0009; five of them.
  EXPECT_NEAR(sum / kDraws, 0.5, 0.0046);
}

TEST(UniformDraw, EveryCoordinateMatters) {
  const float u = UniformDraw(1, 2, 3, 4);
  EXPECT_NE(u, UniformDraw(2, 2, 3, 4));
  EXPECT_NE(u, UniformDraw(1, 3, 3, 4));
  EXPECT_NE(u, UniformDraw(1, 2, 4, 4));
  EXPECT_NE(u, UniformDraw(1, 2, 3, 5));
  EXPECT_EQ(u, UniformDraw(1, 2, 3, 4));
}

TEST(SeededRandom, RepeatsBySeed) {
  std::array<uint8_t, 37> a{}, b{}, c{};
  SeededRandom(5).Fill(a.data(), 37);
  SeededRandom(5).Fill(b.data(), 37);
  SeededRandom(6).Fill(c.data(), 37);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

}  // namespace
}  // namespace mortar
