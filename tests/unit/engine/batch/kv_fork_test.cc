// Goal: a session that was forked from another is a session of its own: the same logits as if it
// had run its prefix itself, whatever happens to the pages that it shares, and none is lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "common/check.h"
#include "common/random.h"
#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

constexpr KvShape kShape = {KvType::kF16, 2, 16};
constexpr int kPage = kKvPagePositions;

std::unique_ptr<KvPool> PoolOf(int n_pages) { return *KvPool::Create(kShape, 3, n_pages * kPage); }

// A position's bytes, as the tests of the pool alone see a page: a slot follows the other.
uint8_t* SlotOf(const KvPool& pool, const KvTable& table, int position) {
  const size_t slot_bytes = pool.page_bytes() / kPage;
  return table.pages[static_cast<size_t>(position / kPage)] +
         slot_bytes * static_cast<size_t>(position % kPage);
}

void Write(KvPool& pool, KvTable& table, int begin, int end, uint8_t value) {
  ASSERT_TRUE(pool.Reserve(table, begin, end).ok());
  for (int p = begin; p < end; ++p) {
    std::memset(SlotOf(pool, table, p), value, pool.page_bytes() / kPage);
  }
}

bool Holds(const KvPool& pool, const KvTable& table, int begin, int end, uint8_t value) {
  for (int p = begin; p < end; ++p) {
    const uint8_t* slot = SlotOf(pool, table, p);
    for (size_t i = 0; i < pool.page_bytes() / kPage; ++i) {
      if (slot[i] != value) return false;
    }
  }
  return true;
}

TEST(KvFork, SharesWholePagesAndCopiesTheLast) {
  const auto pool = PoolOf(8);
  KvTable a, b, c, d;
  Write(*pool, a, 0, 3 * kPage, 7);
  ASSERT_EQ(pool->positions_free(), 5 * kPage);
  ASSERT_TRUE(pool->Fork(a, 0, b).ok());
  EXPECT_TRUE(b.pages.empty());
  ASSERT_TRUE(pool->Fork(a, 2 * kPage, c).ok());
  EXPECT_EQ(c.pages, std::vector<uint8_t*>(a.pages.begin(), a.pages.begin() + 2));
  EXPECT_EQ(pool->positions_free(), 5 * kPage) << "nothing was copied";
  ASSERT_TRUE(pool->Fork(a, 2 * kPage + 5, d).ok());
  EXPECT_EQ(d.pages[1], a.pages[1]);
  EXPECT_NE(d.pages[2], a.pages[2]);
  EXPECT_TRUE(Holds(*pool, d, 0, 2 * kPage + 5, 7));
  EXPECT_EQ(pool->positions_free(), 4 * kPage) << "one page was copied";
}

TEST(KvFork, PagesAreFreeAndZeroedWithTheirLastOwner) {
  for (const bool parent_first : {true, false}) {
    const auto pool = PoolOf(4);
    KvTable a, b;
    Write(*pool, a, 0, 2 * kPage, 7);
    ASSERT_TRUE(pool->Fork(a, 2 * kPage, b).ok());
    pool->Release(parent_first ? a : b);
    EXPECT_EQ(pool->positions_free(), 2 * kPage);
    EXPECT_TRUE(Holds(*pool, parent_first ? b : a, 0, 2 * kPage, 7));
    pool->Release(parent_first ? b : a);
    EXPECT_EQ(pool->positions_free(), 4 * kPage);
    KvTable all;
    ASSERT_TRUE(pool->Reserve(all, 0, 4 * kPage).ok());
    EXPECT_TRUE(Holds(*pool, all, 0, 4 * kPage, 0));
  }
}

TEST(KvFork, WhoeverWritesIntoASharedPageGetsItsOwn) {
  const auto pool = PoolOf(8);
  KvTable a, b;
  Write(*pool, a, 0, 3 * kPage, 7);
  ASSERT_TRUE(pool->Fork(a, 3 * kPage, b).ok());
  pool->Truncate(b, kPage + 9);
  EXPECT_EQ(pool->positions_free(), 5 * kPage) << "the other still has them";
  Write(*pool, b, kPage + 9, 3 * kPage, 8);  // below where they parted
  EXPECT_TRUE(Holds(*pool, a, 0, 3 * kPage, 7));
  EXPECT_TRUE(Holds(*pool, b, 0, kPage + 9, 7));
  EXPECT_TRUE(Holds(*pool, b, kPage + 9, 3 * kPage, 8));
  EXPECT_EQ(b.pages[0], a.pages[0]) << "what is not written stays shared";
  Write(*pool, a, 0, 3 * kPage, 9);  // the parent too, and without having truncated
  EXPECT_TRUE(Holds(*pool, a, 0, 3 * kPage, 9));
  EXPECT_TRUE(Holds(*pool, b, 0, kPage + 9, 7));
  EXPECT_EQ(pool->positions_free(), 2 * kPage) << "three pages each";
}

TEST(KvFork, AFullPoolChangesNothing) {
  const auto pool = PoolOf(4);
  KvTable a, b, c;
  Write(*pool, a, 0, 3 * kPage, 7);
  ASSERT_TRUE(pool->Fork(a, 3 * kPage, b).ok());
  pool->Truncate(b, kPage + 1);
  const std::vector<uint8_t*> before = b.pages;
  // Page 1 copied, and two behind it: three, of which one is free.
  const absl::Status full = pool->Reserve(b, kPage + 1, 4 * kPage);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Message(full),
            "the KV cache is full: 3 more pages of 64 positions are wanted, 1 are free");
  EXPECT_EQ(b.pages, before);
  ASSERT_TRUE(pool->Reserve(c, 0, 1).ok());
  KvTable d;
  EXPECT_EQ(pool->Fork(a, kPage + 1, d).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(d.pages.empty());
  EXPECT_TRUE(pool->Fork(a, kPage, d).ok()) << "sharing takes no page";
  for (KvTable* table : {&a, &b, &c, &d}) pool->Release(*table);
  EXPECT_EQ(pool->positions_free(), 4 * kPage);
}

// A session of the model below: what each position was last written with.
struct Modelled {
  KvTable table;
  std::vector<uint8_t> values;
};

// Any forks, truncations, writes and releases in any order, against lists of plain values.
TEST(KvFork, AnyOrderOfWorkKeepsEverySessionsPositions) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto pool = PoolOf(24);
    std::vector<Modelled> sessions(6);
    for (uint64_t step = 0; step < 200; ++step) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " step " + std::to_string(step));
      const auto draw = [&](uint32_t i, size_t below) {
        return static_cast<size_t>(UniformDraw(seed, i, step, 0) * static_cast<float>(below));
      };
      Modelled& one = sessions[draw(0, 6)];
      Modelled& other = sessions[draw(1, 6)];
      const auto at = static_cast<int>(draw(2, one.values.size() + 1));
      switch (draw(3, 4)) {
        case 0:  // truncate, or release
          pool->Truncate(one.table, at);
          one.values.resize(static_cast<size_t>(at));
          break;
        case 1:  // fork
          if (&one == &other) break;
          pool->Release(other.table);
          other.values.clear();
          if (pool->Fork(one.table, at, other.table).ok()) {
            other.values.assign(one.values.begin(), one.values.begin() + at);
          }
          break;
        default: {  // write, from anywhere on
          const int end = at + static_cast<int>(draw(4, 150));
          if (!pool->Reserve(one.table, at, end).ok()) break;
          const auto value = static_cast<uint8_t>(1 + draw(5, 255));
          Write(*pool, one.table, at, end, value);
          one.values.resize(static_cast<size_t>(at));
          one.values.resize(static_cast<size_t>(end), value);
        }
      }
      std::vector<uint8_t*> used;
      for (const Modelled& s : sessions) {
        used.insert(used.end(), s.table.pages.begin(), s.table.pages.end());
        for (size_t p = 0; p < s.values.size(); ++p) {
          const auto position = static_cast<int>(p);
          ASSERT_EQ(*SlotOf(*pool, s.table, position), s.values[p]) << "position " << p;
        }
      }
      std::sort(used.begin(), used.end());
      const auto distinct = std::unique(used.begin(), used.end()) - used.begin();
      ASSERT_EQ(pool->positions_free(), (24 - static_cast<int>(distinct)) * kPage);
    }
  }
}

// --- Through the engine ---

// Runs positions [begin, tokens.size()) of a session in one chunk; their logits.
std::vector<float> Continue(Engine& engine, KvTable& kv, const std::vector<int32_t>& tokens,
                            int begin) {
  const int end = static_cast<int>(tokens.size());
  CHECK(engine.kv().Reserve(kv, begin, end).ok());
  std::vector<BatchRow> rows;
  for (int p = begin; p < end; ++p) rows.push_back({&kv, p});
  std::vector<int> wanted(rows.size());
  std::iota(wanted.begin(), wanted.end(), 0);
  std::vector<float> logits(rows.size() * static_cast<size_t>(engine.config().n_vocab));
  engine.Run(0, {.rows = rows,
                 .tokens = std::span(tokens).subspan(static_cast<size_t>(begin)),
                 .logit_rows = wanted,
                 .logits = logits.data()});
  return logits;
}

// The first `n` of one list, then `more` of another kind.
std::vector<int32_t> Branch(const std::vector<int32_t>& tokens, int n, int more, uint64_t seed) {
  std::vector<int32_t> branch(tokens.begin(), tokens.begin() + n);
  const std::vector<int32_t> own = RandomTokens(more, seed);
  branch.insert(branch.end(), own.begin(), own.end());
  return branch;
}

TinyEngineOptions EngineWith(KvType type) {
  TinyEngineOptions options;
  options.model.type = TensorType::kQ4_1;
  options.model.head_dim = 32;  // what q8_0 can hold
  options.engine.kv_type = type;
  options.engine.rows_max = 256;
  options.engine.logit_rows_max = 256;
  options.n_threads = 2;
  return options;
}

// The same bits as those of a session that ran all of `tokens` itself.
void ExpectAsAlone(Engine& engine, const std::vector<int32_t>& tokens, int begin,
                   const std::vector<float>& logits) {
  const std::vector<float> alone = AllLogits(engine, tokens, 256);
  const size_t at = static_cast<size_t>(begin) * static_cast<size_t>(engine.config().n_vocab);
  ASSERT_EQ(alone.size() - at, logits.size());
  EXPECT_EQ(std::memcmp(alone.data() + at, logits.data(), 4 * logits.size()), 0)
      << tokens.size() << " positions, from " << begin;
}

TEST(KvFork, GivesTheLogitsOfASessionThatRanThePrefixItself) {
  for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    TinyEngine tiny(EngineWith(type));
    Engine& engine = *tiny.engine;
    for (const int n : {0, 1, 63, 64, 65, 100, 128, 150}) {
      const std::vector<int32_t> tokens = RandomTokens(150, 1);
      KvTable parent, child;
      Continue(engine, parent, tokens, 0);
      ASSERT_TRUE(engine.kv().Fork(parent, n, child).ok());
      const std::vector<int32_t> branch = Branch(tokens, n, 70, 2);
      ExpectAsAlone(engine, branch, n, Continue(engine, child, branch, n));
      const std::vector<int32_t> onward = Branch(tokens, 150, 20, 3);
      ExpectAsAlone(engine, onward, 150, Continue(engine, parent, onward, 150));
      engine.kv().Release(parent);
      const std::vector<int32_t> later = Branch(branch, n + 70, 9, 4);
      ExpectAsAlone(engine, later, n + 70, Continue(engine, child, later, n + 70));
      engine.kv().Release(child);
      EXPECT_EQ(engine.kv().positions_free(), engine.kv().positions_max());
    }
  }
}

TEST(KvFork, GoesOnBelowWhereItWasForked) {
  TinyEngine tiny(EngineWith(KvType::kF16));
  Engine& engine = *tiny.engine;
  const std::vector<int32_t> tokens = RandomTokens(150, 5);
  for (const int n : {0, 40, 64, 90, 128}) {
    KvTable parent, child;
    Continue(engine, parent, tokens, 0);
    ASSERT_TRUE(engine.kv().Fork(parent, 140, child).ok());
    const std::vector<int32_t> branch = Branch(tokens, n, 60, 6);
    const std::vector<int32_t> other = Branch(tokens, n, 50, 7);
    engine.kv().Truncate(child, n);
    ExpectAsAlone(engine, branch, n, Continue(engine, child, branch, n));
    const std::vector<int32_t> onward = Branch(tokens, 150, 8, 8);
    ExpectAsAlone(engine, onward, 150, Continue(engine, parent, onward, 150));
    engine.kv().Truncate(parent, n);
    ExpectAsAlone(engine, other, n, Continue(engine, parent, other, n));
    engine.kv().Release(parent);
    engine.kv().Release(child);
  }
}

}  // namespace
}  // namespace mortar
