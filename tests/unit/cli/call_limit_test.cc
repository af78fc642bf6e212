// Goal: a call that does not come back within its limit is ended, and one that does is left alone.
#include "cli/call_limit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(CallLimit, ACallThatStaysIsEndedOnce) {
  const SteadyClock clock;
  std::atomic<int> ended = 0;
  const Time start = clock.Now();
  const CallLimit limit(milliseconds(50), clock, [&] { ++ended; });
  while (ended == 0 && clock.Now() - start < seconds(20)) std::this_thread::yield();
  EXPECT_GE(clock.Now() - start, milliseconds(50));
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(ended, 1);
}

TEST(CallLimit, ACallThatComesBackIsLeftAloneAndNotHeldUp) {
  const SteadyClock clock;
  std::atomic<int> ended = 0;
  const Time start = clock.Now();
  {
    const CallLimit limit(seconds(30), clock, [&] { ++ended; });
  }
  EXPECT_LT(clock.Now() - start, seconds(10));
  EXPECT_EQ(ended, 0);
}

}  // namespace
}  // namespace mortar
