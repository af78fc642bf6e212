// Goal: a node's speed moves slowly: one look takes many tokens and a second, and is a quarter of
// the new value.
#include "common/speed_meter.h"

#include <gtest/gtest.h>

namespace mortar {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kBytes = 1'000'000;

// Tokens of `each`, one after the other.
void Decode(SpeedMeter& meter, Time& now, int tokens, Duration each) {
  for (int i = 0; i < tokens; ++i) {
    now += each;
    meter.Add(now, each, kBytes);
  }
}

TEST(SpeedMeter, FewTokensChangeNothingHoweverSlowTheyAre) {
  SpeedMeter meter(10);
  Time now{};
  Decode(meter, now, SpeedMeter::kTokensMin - 1, milliseconds(500));
  EXPECT_EQ(meter.ns_per_byte(), 10);
}

TEST(SpeedMeter, ManyTokensWithinASecondChangeNothing) {
  SpeedMeter meter(10);
  Time now{};
  Decode(meter, now, 99, milliseconds(10));
  EXPECT_EQ(meter.ns_per_byte(), 10);
  Decode(meter, now, 1, milliseconds(10));
  EXPECT_DOUBLE_EQ(meter.ns_per_byte(), 10) << "ten milliseconds of a million bytes are the same";
}

TEST(SpeedMeter, EachLookMovesItAQuarterOfTheWay) {
  SpeedMeter meter(10);
  Time now{};
  Decode(meter, now, SpeedMeter::kTokensMin, milliseconds(40));
  EXPECT_DOUBLE_EQ(meter.ns_per_byte(), 17.5);
  Decode(meter, now, SpeedMeter::kTokensMin, milliseconds(40));
  EXPECT_DOUBLE_EQ(meter.ns_per_byte(), 17.5 + 22.5 / 4);
}

TEST(SpeedMeter, WithoutAProbeTheFirstLookIsTheValue) {
  SpeedMeter meter;
  EXPECT_EQ(meter.ns_per_byte(), 0);
  Time now{};
  Decode(meter, now, SpeedMeter::kTokensMin, milliseconds(40));
  EXPECT_DOUBLE_EQ(meter.ns_per_byte(), 40);
}

TEST(SpeedMeter, NeitherUnknownBytesNorAClockThatStandsStillCount) {
  SpeedMeter meter(10);
  for (int i = 0; i < 100; ++i) {
    meter.Add(Time{} + milliseconds(100 * i), Duration::zero(), kBytes);
    meter.Add(Time{} + milliseconds(100 * i), milliseconds(100), 0);
  }
  EXPECT_EQ(meter.ns_per_byte(), 10);
}

}  // namespace
}  // namespace mortar
