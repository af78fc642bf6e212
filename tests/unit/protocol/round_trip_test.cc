// Goal: the round trip is the least of the last few, asked for often at first and seldom later, and
// nobody makes it look shorter than it is.
#include "protocol/round_trip.h"

#include <gtest/gtest.h>

namespace mortar {
namespace {

using std::chrono::milliseconds;

// One stamp and its answer, `later`.
void Measure(RoundTripMeter& meter, Time& now, Duration later) {
  now += RoundTripMeter::kInterval;
  const uint64_t stamp = meter.Stamp(now);
  ASSERT_NE(stamp, 0u);
  now += later;
  meter.Take(now, stamp);
}

TEST(RoundTrip, IsTheLeastOfTheLastFour) {
  RoundTripMeter meter;
  Time now{};
  EXPECT_EQ(meter.ns(), 0u);
  Measure(meter, now, milliseconds(30));
  Measure(meter, now, milliseconds(20));
  Measure(meter, now, milliseconds(90));  // a batch was on
  EXPECT_EQ(meter.ns(), 20'000'000u);
  for (int i = 0; i < 4; ++i) Measure(meter, now, milliseconds(50));
  EXPECT_EQ(meter.ns(), 50'000'000u) << "the way has become longer";
}

TEST(RoundTrip, AnAnswerThatIsNotTheNewestStampsCountsNothing) {
  RoundTripMeter meter;
  Time now{milliseconds(5)};
  const uint64_t first = meter.Stamp(now);
  const uint64_t second = meter.Stamp(now += RoundTripMeter::kInterval);  // the first was lost
  meter.Take(now += milliseconds(1), first);
  meter.Take(now, 0);
  EXPECT_EQ(meter.ns(), 0u);
  meter.Take(now += milliseconds(3), second);
  EXPECT_EQ(meter.ns(), 4'000'000u);
  meter.Take(now += milliseconds(1), second);
  EXPECT_EQ(meter.ns(), 4'000'000u) << "once";
}

TEST(RoundTrip, OneThatTakesLongerThanAStatusIsWaitedForAndKnown) {
  RoundTripMeter meter;
  Time now{milliseconds(5)};
  const uint64_t stamp = meter.Stamp(now);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(meter.Stamp(now += milliseconds(500)), 0u);
  meter.Take(now += milliseconds(300), stamp);
  EXPECT_EQ(meter.ns(), 1'800'000'000u);
  EXPECT_NE(meter.Stamp(now += milliseconds(200)), 0u) << "the next, with the next status";
}

// Of two coordinators each is asked every second: a way of three seconds is measured all the same.
TEST(RoundTrip, OneThatTakesLongerThanTheTimeBetweenTwoSignsOfLifeIsKnown) {
  RoundTripMeter meter;
  const Duration life = std::chrono::seconds(1);
  Time now{milliseconds(5)};
  const uint64_t stamp = meter.Stamp(now, life);
  EXPECT_TRUE(meter.measures());
  EXPECT_EQ(meter.Stamp(now += milliseconds(500), life), 0u);
  uint64_t sign = 0;
  for (int i = 0; i < 2; ++i) {
    sign = meter.Stamp(now += milliseconds(500 + i * 500), life);
    EXPECT_NE(sign, 0u);
    EXPECT_FALSE(meter.measures()) << "and it carries no row";
  }
  meter.Take(now += milliseconds(1000), stamp);
  EXPECT_EQ(meter.ns(), 3'000'000'000u);
  meter.Take(now, sign);
  EXPECT_EQ(meter.ns(), 3'000'000'000u) << "a sign of life measures nothing";
  EXPECT_NE(meter.Stamp(now, life), 0u);
  EXPECT_TRUE(meter.measures()) << "the next sample, with the next status";
}

TEST(RoundTrip, WhatWasLostIsAskedForAgainAlsoBesideSignsOfLife) {
  RoundTripMeter meter;
  const Duration life = std::chrono::seconds(1);
  Time now{milliseconds(5)};
  const uint64_t lost = meter.Stamp(now, life);
  for (int i = 1; i < 10; ++i) {
    EXPECT_NE(meter.Stamp(now += life, life), 0u);
    EXPECT_FALSE(meter.measures()) << i;
  }
  const uint64_t again = meter.Stamp(now += life, life);
  EXPECT_TRUE(meter.measures());
  meter.Take(now += milliseconds(2), lost);
  EXPECT_EQ(meter.ns(), 0u);
  meter.Take(now, again);
  EXPECT_EQ(meter.ns(), 2'000'000u);
}

TEST(RoundTrip, IsAskedForSeldomOnceItIsKnown) {
  RoundTripMeter meter;
  Time now{};
  for (size_t i = 0; i < RoundTripMeter::kSamples; ++i) Measure(meter, now, milliseconds(1));
  EXPECT_EQ(meter.Stamp(now), 0u);
  EXPECT_NE(meter.Stamp(now + RoundTripMeter::kInterval), 0u);
}

}  // namespace
}  // namespace mortar
