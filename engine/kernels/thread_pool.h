// The compute threads of one process.
//
// A Run() hands one function to all threads, the caller among them, and returns when all have
// finished. Inside it, Barrier() makes them meet. Threads spin for a short while, since the
// next piece of work is usually microseconds away, and then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace mortar {

class ThreadPool {
 public:
  // `n_threads` >= 1, the calling thread included.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return n_threads_; }

  // Calls work(thread) once for each thread in [0, n_threads). One Run at a time.
  void Run(const std::function<void(int thread)>& work);

  // Called by every thread inside a Run.
  void Barrier();

 private:
  void Loop(int thread);

  const int n_threads_;
  const int spin_count_;  // checks before a waiting thread sleeps or yields
  const std::function<void(int)>* work_ = nullptr;
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> running_{0};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> barrier_phase_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> sleeping_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> threads_;
};

// Elements [begin, end) of n that `thread` of `n_threads` works on, in whole units.
struct Share {
  int begin;
  int end;
};
inline Share ShareOf(int n, int unit, int thread, int n_threads) {
  const long units = (n + unit - 1) / unit;
  const int begin = static_cast<int>(units * thread / n_threads) * unit;
  const int end = static_cast<int>(units * (thread + 1) / n_threads) * unit;
  return {begin, end < n ? end : n};
}

}  // namespace mortar
