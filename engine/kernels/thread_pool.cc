#include "engine/kernels/thread_pool.h"

#include <string>
#include <system_error>

#include "common/check.h"
#include "engine/kernels/float_environment.h"

namespace mortar {
namespace {

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// A waiting thread first looks at short intervals, for a few microseconds: the usual skew of
// two threads at a barrier. Then it gives its CPU away between looks, which costs little when
// nobody wants it and keeps a busy machine from waiting for a spinning thread.
constexpr int kPauses = 100;
// Looks of an idle helper before it sleeps: together longer than the gap between two steps.
constexpr int kYields = 1000;

// Returns when `done()` holds.
template <typename Done>
void SpinUntil(bool oversubscribed, Done done) {
  for (int i = 0; !done(); ++i) {
    if (oversubscribed || i >= kPauses) {
      std::this_thread::yield();
    } else {
      Pause();
    }
  }
}

bool MoreThanCpus(int n_threads) {
  const unsigned cpus = std::thread::hardware_concurrency();
  return cpus != 0 && static_cast<unsigned>(n_threads) > cpus;
}

}  // namespace

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(n_threads), oversubscribed_(MoreThanCpus(n_threads)) {}

absl::StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::Create(int n_threads) {
  CHECK(n_threads >= 1 && n_threads <= kThreadsMax);
  std::unique_ptr<ThreadPool> pool(new ThreadPool(n_threads));
  pool->threads_.reserve(static_cast<size_t>(n_threads - 1));
  for (int t = 1; t < n_threads; ++t) {
    try {
      pool->threads_.emplace_back([self = pool.get(), t] { self->Loop(t); });
    } catch (const std::system_error& error) {  // the destructor ends those that have started
      return ResourceExhausted("start " + std::to_string(n_threads) + " threads: the system gave " +
                               std::to_string(t) + " (" + error.code().message() + ")");
    }
  }
  return pool;
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Run(const std::function<void(int)>& work) {
  if (!FloatEnvironmentHolds()) SetFloatEnvironment();
  work_ = &work;
  running_.store(n_threads_ - 1, std::memory_order_relaxed);
  if (n_threads_ > 1) {
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
  }
  work(0);
  SpinUntil(oversubscribed_, [this] { return running_.load(std::memory_order_acquire) == 0; });
}

void ThreadPool::Barrier() {
  if (n_threads_ == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == n_threads_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  SpinUntil(oversubscribed_,
            [this, phase] { return phase_.load(std::memory_order_acquire) != phase; });
}

void ThreadPool::Loop(int thread) {
  SetFloatEnvironment();
  CHECK(FloatEnvironmentHolds());
  uint32_t seen = 0;
  for (;;) {
    int looks = 0;
    SpinUntil(oversubscribed_, [&] {
      return generation_.load(std::memory_order_acquire) != seen || ++looks > kYields;
    });
    generation_.wait(seen, std::memory_order_acquire);
    ++seen;
    if (stopping_.load()) return;
    (*work_)(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace mortar
