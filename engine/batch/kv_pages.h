// KV in pages: where attention finds the keys and values of earlier positions.
//
// A pool belongs to one engine and covers all layers that the engine hosts. A page holds
// kKvPagePositions positions of every layer. Pages are taken before a step is planned and
// zeroed when their last owner gives them back, so that no owner ever reads another's.
//
// A fork shares the whole pages of the positions that it begins with. Sharing shows nowhere but
// in the pool: positions are written only after Reserve() for them, and it is Reserve() that
// gives a table pages of its own there. Truncate() cannot, for it may not fail.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/status.h"
#include "engine/kernels/kernels.h"

namespace mortar {

// The pages of one session: page i holds positions [64 i, 64 (i + 1)). Owned until Release(), so
// that a copy of the table is not another session: that is a fork.
struct KvTable {
  std::vector<uint8_t*> pages;
};

// Used by one thread at a time (the loop that owns it, between steps).
class KvPool {
 public:
  // Memory is mapped for `positions_max` positions over all sessions and touched page by page.
  static absl::StatusOr<std::unique_ptr<KvPool>> Create(const KvShape& shape, int n_layers,
                                                        int positions_max);
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  // Before positions [begin, end) of `table` are written: makes it reach `end`, and pages that it
  // shares from `begin` on its own. Of those the positions before `begin` are kept, the others
  // are not. RESOURCE_EXHAUSTED, and no change, when the pool is full; never where every table's
  // pages were counted as its own. Allocates for a table's first page alone.
  absl::Status Reserve(KvTable& table, int begin, int end);
  // Makes the empty table `to` a session that has the first `n_positions` of `from`, which
  // reaches them: whole pages are shared, the last is copied where they end amid it.
  // RESOURCE_EXHAUSTED, and no change, when there is no page for the copy.
  absl::Status Fork(const KvTable& from, int n_positions, KvTable& to);
  // Gives back the pages beyond the first `n_positions` positions; those that nobody else has
  // are zeroed. Positions beyond them are written again only after another Reserve().
  void Truncate(KvTable& table, int n_positions);
  void Release(KvTable& table) { Truncate(table, 0); }

  int positions_free() const;  // shared pages count once
  int positions_max() const { return n_pages_ * kKvPagePositions; }
  size_t page_bytes() const { return page_bytes_; }

 private:
  KvPool() = default;

  int& OwnersOf(const uint8_t* page);
  uint8_t* Take();
  void GiveBack(uint8_t* page);
  absl::Status CheckFree(size_t n_pages) const;
  // An empty table gets a list that could name every page: eight bytes a page, once a table,
  // instead of a list that grows while tokens wait.
  void MakeRoom(KvTable& table) const { table.pages.reserve(static_cast<size_t>(n_pages_)); }

  uint8_t* memory_ = nullptr;
  size_t mapped_bytes_ = 0;
  size_t page_bytes_ = 0;
  int n_pages_ = 0;
  std::vector<int> owners_;  // of each page; 0: it is free
  std::vector<int> free_;    // indices of pages, last in first out
};

}  // namespace mortar
