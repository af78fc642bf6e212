#include "engine/batch/kv_pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

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
  pool->free_.reserve(static_cast<size_t>(pool->n_pages_));
  for (int page = pool->n_pages_ - 1; page >= 0; --page) pool->free_.push_back(page);
  return pool;
}

KvPool::~KvPool() {
  if (memory_ != nullptr) munmap(memory_, mapped_bytes_);
}

absl::Status KvPool::Reserve(KvTable& table, int n_positions) {
  const size_t wanted = PagesFor(n_positions);
  if (wanted <= table.pages.size()) return absl::OkStatus();
  const size_t missing = wanted - table.pages.size();
  if (missing > free_.size()) {
    return ResourceExhausted("the KV cache is full: " + std::to_string(missing) +
                             " more pages of " + std::to_string(kKvPagePositions) +
                             " positions are wanted, " + std::to_string(free_.size()) +
                             " are free");
  }
  // A list that could hold the whole pool: eight bytes a page, once a table, instead of one that
  // grows while tokens wait.
  table.pages.reserve(static_cast<size_t>(n_pages_));
  for (size_t i = 0; i < missing; ++i) {
    table.pages.push_back(memory_ + page_bytes_ * static_cast<size_t>(free_.back()));
    free_.pop_back();
  }
  return absl::OkStatus();
}

void KvPool::Truncate(KvTable& table, int n_positions) {
  const size_t keep = PagesFor(n_positions);
  while (table.pages.size() > keep) {
    uint8_t* page = table.pages.back();
    table.pages.pop_back();
    std::memset(page, 0, page_bytes_);
    free_.push_back(static_cast<int>(static_cast<size_t>(page - memory_) / page_bytes_));
  }
}

int KvPool::positions_free() const { return static_cast<int>(free_.size()) * kKvPagePositions; }

}  // namespace mortar
