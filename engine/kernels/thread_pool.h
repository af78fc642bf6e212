// The compute threads of one process.
//
// A Run() hands one function to all threads, the caller among them, and returns when all have
// finished. Inside it, Barrier() makes them meet. The next piece of work is usually
// microseconds away, so that a waiting thread spins first and sleeps later: a wake-up from
// sleep costs about as much as a layer of a small model.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "common/status.h"

namespace mortar {

inline constexpr int kThreadsMax = 256;

class ThreadPool {
 public:
  // `n_threads` in [1, kThreadsMax], the calling thread included. ResourceExhausted when the
  // system does not give so many.
  static absl::StatusOr<std::unique_ptr<ThreadPool>> Create(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return n_threads_; }

  // Calls work(thread) once for each thread in [0, n_threads), 0 being the caller. One Run at
  // a time. Every thread computes in the floating-point environment of the numeric contract.
  void Run(const std::function<void(int thread)>& work);

  // Called by every thread inside a Run: returns when all have called it.
  void Barrier();

 private:
  explicit ThreadPool(int n_threads);
  void Loop(int thread);

  const int n_threads_;
  const bool oversubscribed_;  // more threads than CPUs: spinning would keep others from working
  const std::function<void(int)>* work_ = nullptr;
  alignas(64) std::atomic<uint32_t> generation_{0};  // grows with each Run
  alignas(64) std::atomic<int> running_{0};          // helpers that have not finished it
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};  // grows with each barrier
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

// Elements [begin, end) of [0, n) that are `thread`'s of `n_threads`, in whole units.
struct Share {
  int begin;
  int end;
};
inline Share ShareOf(int n, int unit, int thread, int n_threads) {
  const int64_t units = (n + unit - 1) / unit;
  const int begin = static_cast<int>(units * thread / n_threads) * unit;
  const int end = static_cast<int>(units * (thread + 1) / n_threads) * unit;
  return {begin < n ? begin : n, end < n ? end : n};
}

}  // namespace mortar
