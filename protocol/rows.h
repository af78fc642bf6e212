// The rows of an activation: [n, n_embd] f32, starting on 64 bytes, shared and recycled.
//
// A frame's rows are written once, by whoever takes the buffer, and only read after they were
// sent: several frames and jobs may hold the same rows. When the last holder lets go, the
// buffer returns to its pool, so that a token allocates nothing once the pools are warm.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace mortar {

struct RowsBuffer;  // rows.cc

// A counted reference. Copies and releases are thread-safe; the floats are not guarded.
class Rows {
 public:
  Rows() = default;
  Rows(const Rows& other);
  Rows(Rows&& other) noexcept
      : buffer_(std::exchange(other.buffer_, nullptr)), n_(other.n_), n_embd_(other.n_embd_) {
    other.n_ = 0;
  }
  Rows& operator=(Rows other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(n_, other.n_);
    std::swap(n_embd_, other.n_embd_);
    return *this;
  }
  ~Rows();

  int n() const { return n_; }
  int n_embd() const { return n_embd_; }
  bool empty() const { return n_ == 0; }
  size_t bytes() const {
    return static_cast<size_t>(n_) * static_cast<size_t>(n_embd_) * sizeof(float);
  }
  const float* data() const;  // null when empty
  float* mutable_data();      // needs: nobody else holds these rows

 private:
  friend class RowsPool;
  RowsBuffer* buffer_ = nullptr;
  int n_ = 0;
  int n_embd_ = 0;
};

// Thread-safe. Buffers that are still held when the pool is destroyed stay valid.
class RowsPool {
 public:
  RowsPool();
  ~RowsPool();
  RowsPool(const RowsPool&) = delete;
  RowsPool& operator=(const RowsPool&) = delete;

  // Uninitialised rows. Needs n >= 1, n_embd >= 1, both bounded by the caller.
  Rows Take(int n, int n_embd);
  // A copy of rows [first, first + n) of `rows`.
  Rows Copy(const Rows& rows, int first, int n);

  size_t buffers_allocated() const;  // since the start; stands still once the pool is warm

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace mortar
