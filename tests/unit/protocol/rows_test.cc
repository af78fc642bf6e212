// Goal: rows are aligned, shared without copies, and recycled: a warm pool allocates nothing.
#include "protocol/rows.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <vector>

namespace mortar {
namespace {

TEST(Rows, StartOnSixtyFourBytesWhateverTheirShape) {
  RowsPool pool;
  std::vector<Rows> held;
  for (const int n : {1, 2, 3, 7, 113}) {
    for (const int n_embd : {1, 5, 64, 576}) {
      Rows rows = pool.Take(n, n_embd);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(rows.data()) % 64, 0u);
      EXPECT_EQ(rows.bytes(), static_cast<size_t>(n * n_embd) * 4);
      held.push_back(rows);
    }
  }
}

TEST(Rows, CopiesShareTheSameFloatsAndAMoveLeavesNothingBehind) {
  RowsPool pool;
  Rows rows = pool.Take(2, 3);
  rows.mutable_data()[5] = 7;
  const Rows copy = rows;
  EXPECT_EQ(copy.data(), rows.data());
  const Rows moved = std::move(rows);
  EXPECT_EQ(moved.data()[5], 7);
  EXPECT_TRUE(rows.empty());  // NOLINT: what a move leaves is part of the promise
  EXPECT_EQ(rows.data(), nullptr);
}

TEST(RowsDeathTest, WritingRowsThatSomebodyElseHoldsIsABug) {
  RowsPool pool;
  Rows rows = pool.Take(1, 8);
  const Rows other = rows;
  EXPECT_DEATH(rows.mutable_data(), "holders");
}

TEST(RowsPool, AWarmPoolAllocatesNothing) {
  RowsPool pool;
  for (int i = 0; i < 10; ++i) {
    const Rows one = pool.Take(1, 576);
    const Rows two = pool.Take(1, 576);
  }
  EXPECT_EQ(pool.buffers_allocated(), 2u);
  const Rows prefill = pool.Take(113, 576);
  EXPECT_EQ(pool.buffers_allocated(), 3u);
}

TEST(RowsPool, CopyTakesTheRowsAskedFor) {
  RowsPool pool;
  Rows rows = pool.Take(4, 2);
  for (int i = 0; i < 8; ++i) rows.mutable_data()[i] = static_cast<float>(i);
  const Rows last = pool.Copy(rows, 3, 1);
  EXPECT_EQ(last.n(), 1);
  EXPECT_EQ(last.data()[0], 6);
  EXPECT_EQ(last.data()[1], 7);
}

TEST(RowsPool, RowsOutliveTheirPool) {
  Rows rows;
  {
    RowsPool pool;
    rows = pool.Take(3, 5);
  }
  rows.mutable_data()[14] = 1;
  EXPECT_EQ(rows.data()[14], 1);
}

TEST(RowsPool, RowsAreReleasedOnAnotherThread) {
  RowsPool pool;
  for (int i = 0; i < 100; ++i) {
    Rows rows = pool.Take(1, 64);
    std::thread([taken = std::move(rows)]() mutable { taken = Rows{}; }).join();
  }
  EXPECT_EQ(pool.buffers_allocated(), 1u);
}

}  // namespace
}  // namespace mortar
