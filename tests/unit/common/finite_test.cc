// Goal: one value among many that is not a number is found, and no number is taken for one.
#include "common/finite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace mortar {
namespace {

TEST(AllFinite, TakesTheSmallestAndLargestNumbers) {
  using Limits = std::numeric_limits<float>;
  EXPECT_TRUE(AllFinite({}));
  EXPECT_TRUE(AllFinite(std::vector<float>{0, -0.0f, Limits::max(), Limits::lowest(),
                                           Limits::denorm_min(), -Limits::min()}));
}

TEST(AllFinite, FindsInfinitiesAndNanAtAnyPlace) {
  for (const float bad : {INFINITY, -INFINITY, NAN, -NAN}) {
    EXPECT_FALSE(IsFinite(bad));
    for (const size_t place : {size_t{0}, size_t{50}, size_t{99}}) {
      std::vector<float> values(100, 1.0f);
      values[place] = bad;
      EXPECT_FALSE(AllFinite(values)) << bad << " at " << place;
    }
  }
}

}  // namespace
}  // namespace mortar
