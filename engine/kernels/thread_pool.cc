#include "engine/kernels/thread_pool.h"

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

// About 200 us on current CPUs: longer than the gap between two steps of one session.
constexpr int kSpins = 6000;

// Returns when `done()` holds: spins, then gives the CPU away between looks.
template <typename Done>
void SpinUntil(bool oversubscribed, Done done) {
  for (int i = 0; !done(); ++i) {
    if (oversubscribed || i > kSpins) {
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
    : n_threads_(n_threads), oversubscribed_(MoreThanCpus(n_threads)) {
  CHECK(n_threads >= 1 && n_threads <= kThreadsMax);
  for (int t = 1; t < n_threads; ++t) threads_.emplace_back([this, t] { Loop(t); });
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
    const int spins = oversubscribed_ ? 0 : kSpins;
    for (int i = 0; i < spins && generation_.load(std::memory_order_acquire) == seen; ++i) Pause();
    generation_.wait(seen, std::memory_order_acquire);
    ++seen;
    if (stopping_.load()) return;
    (*work_)(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace mortar
