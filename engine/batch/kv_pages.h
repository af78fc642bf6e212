// KV in pages: where attention finds the keys and values of earlier positions.
//
// A pool belongs to one engine and covers all layers that the engine hosts. A page holds
// kKvPagePositions positions of every layer. Pages are taken before a step is planned and
// zeroed when they are given back, so that no owner ever reads another's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/status.h"
#include "engine/kernels/kernels.h"

namespace mortar {

// The pages of one session: page i holds positions [64 i, 64 (i + 1)).
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

  // Makes `table` reach `n_positions`. RESOURCE_EXHAUSTED, and no change, when the pool is full.
  // Allocates for a table's first page alone.
  absl::Status Reserve(KvTable& table, int n_positions);
  // Gives back the pages beyond the first `n_positions` positions, zeroed.
  void Truncate(KvTable& table, int n_positions);
  void Release(KvTable& table) { Truncate(table, 0); }

  int positions_free() const;
  int positions_max() const { return n_pages_ * kKvPagePositions; }
  size_t page_bytes() const { return page_bytes_; }

 private:
  KvPool() = default;

  uint8_t* memory_ = nullptr;
  size_t mapped_bytes_ = 0;
  size_t page_bytes_ = 0;
  int n_pages_ = 0;
  std::vector<int> free_;  // indices of pages, last in first out
};

}  // namespace mortar
