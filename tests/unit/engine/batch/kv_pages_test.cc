// Goal: KV pages are bounded, given back, and never show one session's bytes to another.
#include "engine/batch/kv_pages.h"

#include <gtest/gtest.h>

#include <cstring>

namespace mortar {
namespace {

constexpr KvShape kShape = {KvType::kF16, 2, 16};

TEST(KvPool, ReservesWholePagesUpToItsLimit) {
  auto pool = KvPool::Create(kShape, 3, 200);
  ASSERT_TRUE(pool.ok());
  EXPECT_EQ((*pool)->positions_max(), 256);
  EXPECT_EQ((*pool)->page_bytes(), 3 * kShape.layer_bytes());
  KvTable a, b;
  ASSERT_TRUE((*pool)->Reserve(a, 0, 65).ok());
  EXPECT_EQ(a.pages.size(), 2u);
  ASSERT_TRUE((*pool)->Reserve(a, 0, 128).ok());
  EXPECT_EQ(a.pages.size(), 2u);
  const absl::Status full = (*pool)->Reserve(b, 0, 129);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Message(full),
            "the KV cache is full: 3 more pages of 64 positions are wanted, 2 are free");
  EXPECT_TRUE(b.pages.empty()) << "a refused reservation changes nothing";
  (*pool)->Release(a);
  EXPECT_TRUE((*pool)->Reserve(b, 0, 129).ok());
}

TEST(KvPool, PagesGivenBackAreZeroed) {
  auto pool = KvPool::Create(kShape, 1, 128);
  ASSERT_TRUE(pool.ok());
  KvTable a;
  ASSERT_TRUE((*pool)->Reserve(a, 0, 128).ok());
  for (uint8_t* page : a.pages) std::memset(page, 0xab, (*pool)->page_bytes());
  (*pool)->Truncate(a, 64);
  EXPECT_EQ(a.pages.size(), 1u);
  EXPECT_EQ(a.pages[0][5], 0xab) << "what is kept is kept";
  (*pool)->Release(a);
  ASSERT_TRUE((*pool)->Reserve(a, 0, 128).ok());
  for (const uint8_t* page : a.pages) {
    for (size_t i = 0; i < (*pool)->page_bytes(); ++i) ASSERT_EQ(page[i], 0);
  }
}

TEST(KvPool, AnAbsurdSizeIsRefused) {
  const KvShape wide = {KvType::kF32, 1024, 256};
  const auto pool = KvPool::Create(wide, 1024, 1 << 20);
  EXPECT_EQ(pool.status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace mortar
