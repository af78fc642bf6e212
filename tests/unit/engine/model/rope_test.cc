// Goal: the rotation table holds the cosines and sines of its definition, to the last bit that
// binary32 has.
#include "engine/model/rope.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "tests/support/memory.h"

namespace mortar {
namespace {

TEST(RopeTable, AgreesWithLibmToHalfAnUlp) {
  const RopeTable table = *MakeRopeTable(8192, {.dims = 64, .base = 100000});
  ASSERT_EQ(table.n_pairs, 32);
  for (int p = 0; p < 8192; p += 7) {
    for (int i = 0; i < 32; ++i) {
      const double theta = p * std::pow(100000.0, -2.0 * i / 64);
      const size_t at = static_cast<size_t>(p) * 32 + i;
      // 2^-25 is half an ulp below 1; theta itself carries 8192 * 2^-52.
      ASSERT_NEAR(table.cos[at], std::cos(theta), 0x1p-25 + 1e-11) << p << ' ' << i;
      ASSERT_NEAR(table.sin[at], std::sin(theta), 0x1p-25 + 1e-11) << p << ' ' << i;
    }
  }
}

TEST(RopeTable, PositionZeroDoesNotRotate) {
  const RopeTable table = *MakeRopeTable(1, {.dims = 16});
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(table.cos[i], 1.0f);
    EXPECT_EQ(table.sin[i], 0.0f);
  }
}

TEST(RopeTable, DividesPositionsAndFrequenciesAndScalesBothFunctions) {
  const RopeSpec spec = {.dims = 8, .divisor = 4, .factors = {1, 2.5f, 1, 8}, .magnitude = 1.5};
  const RopeTable table = *MakeRopeTable(3000, spec);
  for (int p = 0; p < 3000; p += 13) {
    for (int i = 0; i < 4; ++i) {
      const double factor = static_cast<double>(spec.factors[static_cast<size_t>(i)]);
      const double theta = p / 4.0 * std::pow(10000.0, -2.0 * i / 8) / factor;
      const size_t at = static_cast<size_t>(p) * 4 + i;
      ASSERT_NEAR(table.cos[at], 1.5 * std::cos(theta), 0x1p-24 + 1e-11) << p << ' ' << i;
      ASSERT_NEAR(table.sin[at], 1.5 * std::sin(theta), 0x1p-24 + 1e-11) << p << ' ' << i;
    }
  }
}

TEST(RopeTable, LackOfMemoryIsAnErrorThatNamesTheSize) {
  const auto make_with_little_memory = [] {
    if (!LimitMemory(1 << 20)) _exit(0);
    const absl::Status status = MakeRopeTable(1 << 20, {.dims = 128}).status();
    std::fputs(Message(status).c_str(), stderr);
    _exit(status.code() == absl::StatusCode::kResourceExhausted ? 0 : 1);
  };
  EXPECT_EXIT(make_with_little_memory(), testing::ExitedWithCode(0),
              "^$|no memory for a rotation table of 536870912 bytes, for 1048576 positions");
}

}  // namespace
}  // namespace mortar
