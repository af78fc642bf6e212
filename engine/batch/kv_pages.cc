#include "engine/batch/kv_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "common/check.h"

namespace mortar {
namespace {

// More than any machine that this runs on has: what is larger is a mistake in a flag.
constexpr size_t kPoolBytesMax = size_t{1} << 42;

size_t PagesFor(int n_positions) {
  return (static_cast<size_t>(n_positions) + kKvPagePositions - 1) / kKvPagePositions;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KvPool>> KvPool::Create(const KvShape& shape, int n_layers,
                                                       int positions_max) {
  CHECK(n_layers >= 0 && positions_max >= 0);
  std::unique_ptr<KvPool> pool(new KvPool());
  // An engine without layers keeps no KV; its pages are one line, so that each has an address.
  pool->page_bytes_ = n_layers == 0 ? 64 : shape.layer_bytes() * static_cast<size_t>(n_layers);
  pool->n_pages_ = static_cast<int>(PagesFor(positions_max));
  pool->mapped_bytes_ = pool->page_bytes_ * static_cast<size_t>(pool->n_pages_);
  if (pool->mapped_bytes_ > kPoolBytesMax) {
    return ResourceExhausted("KV for " + std::to_string(positions_max) + " positions would take " +
                             std::to_string(pool->mapped_bytes_ >> 20) +
                             " MiB; ask for a smaller context");
  }
  if (pool->mapped_bytes_ > 0) {
    void* memory = mmap(nullptr, pool->mapped_bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      return ErrnoStatus(
          errno, "map " + std::to_string(pool->mapped_bytes_ >> 20) + " MiB for the KV cache");
    }
    madvise(memory, pool->mapped_bytes_, MADV_DONTDUMP);
    pool->memory_ = static_cast<uint8_t*>(memory);
  }
  pool->owners_.resize(static_cast<size_t>(pool->n_pages_));
  pool->free_.reserve(static_cast<size_t>(pool->n_pages_));
  for (int page = pool->n_pages_ - 1; page >= 0; --page) pool->free_.push_back(page);
  return pool;
}

KvPool::~KvPool() {
  if (memory_ != nullptr) munmap(memory_, mapped_bytes_);
}

int& KvPool::OwnersOf(const uint8_t* page) {
  return owners_[static_cast<size_t>(page - memory_) / page_bytes_];
}

uint8_t* KvPool::Take() {
  const auto page = static_cast<size_t>(free_.back());
  free_.pop_back();
  owners_[page] = 1;
  return memory_ + page_bytes_ * page;
}

void KvPool::GiveBack(uint8_t* page) {
  if (--OwnersOf(page) > 0) return;
  std::memset(page, 0, page_bytes_);
  free_.push_back(static_cast<int>(static_cast<size_t>(page - memory_) / page_bytes_));
}

absl::Status KvPool::CheckFree(size_t n_pages) const {
  if (n_pages <= free_.size()) return absl::OkStatus();
  return ResourceExhausted("the KV cache is full: " + std::to_string(n_pages) + " more pages of " +
                           std::to_string(kKvPagePositions) + " positions are wanted, " +
                           std::to_string(free_.size()) + " are free");
}

absl::Status KvPool::Reserve(KvTable& table, int begin, int end) {
  CHECK(0 <= begin && begin <= end);
  const size_t wanted = PagesFor(end);
  const size_t present = std::min(wanted, table.pages.size());
  const size_t first = static_cast<size_t>(begin / kKvPagePositions);
  size_t missing = wanted - present;
  for (size_t i = first; i < present; ++i) missing += OwnersOf(table.pages[i]) > 1 ? 1 : 0;
  if (missing == 0) return absl::OkStatus();
  RETURN_IF_ERROR(CheckFree(missing));
  MakeRoom(table);
  for (size_t i = first; i < present; ++i) {
    uint8_t*& page = table.pages[i];
    if (OwnersOf(page) == 1) continue;
    uint8_t* own = Take();
    const bool keeps_some = i == first && begin % kKvPagePositions > 0;
    if (keeps_some) std::memcpy(own, page, page_bytes_);
    GiveBack(std::exchange(page, own));
  }
  while (table.pages.size() < wanted) table.pages.push_back(Take());
  return absl::OkStatus();
}

absl::Status KvPool::Fork(const KvTable& from, int n_positions, KvTable& to) {
  CHECK(n_positions >= 0 && PagesFor(n_positions) <= from.pages.size());
  CHECK(to.pages.empty());
  const size_t whole = static_cast<size_t>(n_positions / kKvPagePositions);
  const bool amid = n_positions % kKvPagePositions > 0;
  RETURN_IF_ERROR(CheckFree(amid ? 1 : 0));
  MakeRoom(to);
  for (size_t i = 0; i < whole; ++i) {
    ++OwnersOf(from.pages[i]);
    to.pages.push_back(from.pages[i]);
  }
  if (amid) {
    to.pages.push_back(Take());
    std::memcpy(to.pages.back(), from.pages[whole], page_bytes_);
  }
  return absl::OkStatus();
}

void KvPool::Truncate(KvTable& table, int n_positions) {
  const size_t keep = PagesFor(n_positions);
  while (table.pages.size() > keep) {
    GiveBack(table.pages.back());
    table.pages.pop_back();
  }
}

int KvPool::positions_free() const { return static_cast<int>(free_.size()) * kKvPagePositions; }

}  // namespace mortar
