// Goal: the ring keeps order through growth and wrapping, and lets go of what was popped.
#include "common/ring_queue.h"

#include <gtest/gtest.h>

#include <memory>

namespace mortar {
namespace {

TEST(RingQueue, KeepsOrderWhileItWrapsAndGrows) {
  RingQueue<int> queue;
  int pushed = 0;
  int popped = 0;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < round % 7; ++i) queue.push_back(pushed++);
    for (int i = 0; i < round % 5 && !queue.empty(); ++i) EXPECT_EQ(queue.pop_front(), popped++);
  }
  EXPECT_EQ(queue.size(), static_cast<size_t>(pushed - popped));
  for (size_t i = 0; i < queue.size(); ++i) EXPECT_EQ(queue[i], popped + static_cast<int>(i));
}

TEST(RingQueue, APoppedValueIsHeldByNobody) {
  RingQueue<std::shared_ptr<int>> queue;
  const auto value = std::make_shared<int>(1);
  queue.push_back(value);
  queue.push_back(value);
  queue.pop_front();
  EXPECT_EQ(value.use_count(), 2);
  queue.clear();
  EXPECT_EQ(value.use_count(), 1);
}

TEST(RingQueueDeathTest, PoppingAnEmptyQueueIsABug) {
  RingQueue<int> queue;
  EXPECT_DEATH(queue.pop_front(), "size_ > 0");
}

}  // namespace
}  // namespace mortar
