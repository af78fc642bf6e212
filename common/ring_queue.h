// A first-in first-out queue that allocates only when it grows beyond what it once held, so
// that a queue in the path of a token is free of allocations once it is warm.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "common/check.h"

namespace mortar {

// Not thread-safe. T is default-constructible and movable; a popped place is reset to T{}.
template <typename T>
class RingQueue {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  T& operator[](size_t i) { return slots_[Place(i)]; }
  const T& operator[](size_t i) const { return slots_[Place(i)]; }
  T& front() { return (*this)[0]; }
  const T& front() const { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }

  void push_back(T value) {
    if (size_ == slots_.size()) Grow();
    slots_[(begin_ + size_) % slots_.size()] = std::move(value);
    ++size_;
  }

  T pop_front() {
    CHECK(size_ > 0);
    T value = std::exchange(slots_[begin_], T{});
    begin_ = (begin_ + 1) % slots_.size();
    --size_;
    return value;
  }

  void clear() {
    while (!empty()) pop_front();
  }

 private:
  size_t Place(size_t i) const {
    CHECK(i < size_);
    return (begin_ + i) % slots_.size();
  }

  void Grow() {
    std::vector<T> larger(slots_.empty() ? 4 : slots_.size() * 2);
    for (size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    slots_ = std::move(larger);
    begin_ = 0;
  }

  std::vector<T> slots_;
  size_t begin_ = 0;
  size_t size_ = 0;
};

}  // namespace mortar
