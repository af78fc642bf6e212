#include "protocol/rows.h"

#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "common/check.h"
#include "protocol/limits.h"

namespace mortar {
namespace {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector
constexpr int kSizeClasses = 48;   // powers of two, in bytes
// Free buffers that a pool keeps: what one session may have in flight, a few times over.
constexpr size_t kFreeBytesMax = 8 * kRowBytesInFlightMax;

int SizeClass(size_t bytes) { return std::bit_width(bytes - 1); }

}  // namespace

struct RowsBuffer {
  std::atomic<int> holders{1};
  int size_class = 0;
  float* data = nullptr;                  // 1 << size_class bytes
  std::shared_ptr<RowsPool::State> home;  // set while somebody holds the buffer

  ~RowsBuffer() { std::free(data); }
};

struct RowsPool::State {
  std::mutex mutex;
  std::vector<RowsBuffer*> free[kSizeClasses];
  size_t free_bytes = 0;
  size_t allocated = 0;
  bool closed = false;  // the pool is gone: buffers are freed when they come back
};

Rows::Rows(const Rows& other) : buffer_(other.buffer_), n_(other.n_), n_embd_(other.n_embd_) {
  if (buffer_ != nullptr) buffer_->holders.fetch_add(1, std::memory_order_relaxed);
}

Rows::~Rows() {
  if (buffer_ == nullptr) return;
  if (buffer_->holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const std::shared_ptr<RowsPool::State> home = std::move(buffer_->home);
  const size_t bytes = size_t{1} << buffer_->size_class;
  std::lock_guard lock(home->mutex);
  if (home->closed || home->free_bytes + bytes > kFreeBytesMax) {
    delete buffer_;
    return;
  }
  home->free_bytes += bytes;
  home->free[buffer_->size_class].push_back(buffer_);
}

const float* Rows::data() const { return buffer_ == nullptr ? nullptr : buffer_->data; }

float* Rows::mutable_data() {
  CHECK(buffer_ != nullptr && buffer_->holders.load(std::memory_order_acquire) == 1);
  return buffer_->data;
}

RowsPool::RowsPool() : state_(std::make_shared<State>()) {}

RowsPool::~RowsPool() {
  std::lock_guard lock(state_->mutex);
  state_->closed = true;
  for (std::vector<RowsBuffer*>& buffers : state_->free) {
    for (RowsBuffer* buffer : buffers) delete buffer;
    buffers.clear();
  }
}

Rows RowsPool::Take(int n, int n_embd) {
  CHECK(n >= 1 && n_embd >= 1);
  Rows rows;
  rows.n_ = n;
  rows.n_embd_ = n_embd;
  const size_t bytes = rows.bytes() < kAlignment ? kAlignment : rows.bytes();
  const int size_class = SizeClass(bytes);
  CHECK(size_class < kSizeClasses);
  std::lock_guard lock(state_->mutex);
  std::vector<RowsBuffer*>& free = state_->free[size_class];
  if (!free.empty()) {
    rows.buffer_ = free.back();
    free.pop_back();
    state_->free_bytes -= size_t{1} << size_class;
    rows.buffer_->holders.store(1, std::memory_order_relaxed);
  } else {
    rows.buffer_ = new RowsBuffer;
    rows.buffer_->size_class = size_class;
    void* memory = std::aligned_alloc(kAlignment, size_t{1} << size_class);
    CHECK(memory != nullptr);
    rows.buffer_->data = static_cast<float*>(memory);
    ++state_->allocated;
  }
  rows.buffer_->home = state_;
  return rows;
}

Rows RowsPool::Copy(const Rows& rows, int first, int n) {
  CHECK(first >= 0 && n >= 1 && first + n <= rows.n());
  Rows copy = Take(n, rows.n_embd());
  const size_t offset = static_cast<size_t>(first) * static_cast<size_t>(rows.n_embd());
  std::memcpy(copy.mutable_data(), rows.data() + offset, copy.bytes());
  return copy;
}

size_t RowsPool::buffers_allocated() const {
  std::lock_guard lock(state_->mutex);
  return state_->allocated;
}

}  // namespace mortar
