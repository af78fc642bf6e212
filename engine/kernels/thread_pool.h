// The compute threads of one process.
//
// A Run() hands one function to all threads, the caller among them, and returns when all have
// finished. Inside it, Barrier() makes them meet. The next piece of work is usually
// microseconds away, so that a waiting thread spins first and sleeps later: a wake-up from
// sleep costs about as much as a layer of a small model.
//
// Decode is bound by memory and prefill by arithmetic, so that they may have different numbers of
// threads: those that a Run() leaves out sleep on.
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

// The calling thread counts among the threads, [1, kThreadsMax].
struct ThreadPoolOptions {
  int row_threads = 1;    // of a step of one row
  int batch_threads = 1;  // of all others
  // Thread t > 0 is bound to cpus[t % size]; empty: none is bound.
  std::vector<int> cpus = {};
};

class ThreadPool {
 public:
  // ResourceExhausted when the system does not give so many threads, InvalidArgument when it does
  // not let one run on its CPU.
  static absl::StatusOr<std::unique_ptr<ThreadPool>> Create(const ThreadPoolOptions& options);
  static absl::StatusOr<std::unique_ptr<ThreadPool>> Create(int n_threads) {
    return Create(ThreadPoolOptions{n_threads, n_threads, {}});
  }
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return n_threads_; }
  // Those of a step of so many rows.
  int ThreadsFor(int n_rows) const { return n_rows == 1 ? row_threads_ : batch_threads_; }

  // Calls work(thread) once for each thread in [0, n), 0 being the caller; n: of ThreadsFor(), or
  // n_threads(). One Run at a time. Every thread computes in the floating-point environment of the
  // numeric contract.
  void Run(int n, const std::function<void(int thread)>& work);
  void Run(const std::function<void(int thread)>& work) { Run(n_threads_, work); }

  // Called by every thread of a Run, inside it: returns when all have called it.
  void Barrier();

 private:
  // A count that helpers wait on. It grows with each Run that they take part in, and with the end.
  struct alignas(64) Signal {
    std::atomic<uint32_t> count{0};
    void Raise();
  };

  explicit ThreadPool(const ThreadPoolOptions& options);
  void Loop(int thread);

  const int row_threads_;
  const int batch_threads_;
  const int n_threads_;        // the larger of both
  const int n_few_;            // the smaller
  const bool oversubscribed_;  // more threads than CPUs: spinning would keep others from working
  const std::function<void(int)>* work_ = nullptr;
  int n_running_ = 1;                        // threads of this Run
  Signal few_;                               // of threads [1, n_few)
  Signal rest_;                              // of threads [n_few, n_threads)
  alignas(64) std::atomic<int> running_{0};  // helpers that have not finished it
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
