#include "engine/kernels/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <string>
#include <system_error>

#include "common/check.h"
#include "engine/kernels/float_environment.h"

namespace mortar {
namespace {

void Pause(int n) {
  for (int i = 0; i < n; ++i) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
  }
}

// A waiting thread first looks at short intervals, for a few microseconds: the usual skew of
// two threads at a barrier. Then it gives its CPU away between looks, which costs little when
// nobody wants it and keeps a busy machine from waiting for a spinning thread.
constexpr int kPauses = 100;
// Before each yield then: some 2 us. Threads that do nothing but yield keep the kernel's run queues
// busy, and frames of other processes on the same two cores waited for that.
constexpr int kPausesBeforeYield = 40;
// Looks of an idle helper before it sleeps: together longer than the gap between two steps.
constexpr int kYields = 300;

// Returns when `done()` holds.
template <typename Done>
void SpinUntil(bool oversubscribed, Done done) {
  for (int i = 0; !done(); ++i) {
    if (!oversubscribed) Pause(i < kPauses ? 1 : kPausesBeforeYield);
    if (oversubscribed || i >= kPauses) std::this_thread::yield();
  }
}

// Of those that this process may run on.
bool MoreThanCpus(int n_threads) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  return n_threads > CPU_COUNT(&allowed);
}

absl::Status BindTo(int cpu, std::thread& thread) {
  CHECK(cpu >= 0);
  cpu_set_t only;
  CPU_ZERO(&only);
  if (cpu < CPU_SETSIZE) CPU_SET(cpu, &only);
  const int error = pthread_setaffinity_np(thread.native_handle(), sizeof only, &only);
  if (error == 0) return absl::OkStatus();
  return InvalidArgument("bind a thread to CPU " + std::to_string(cpu) + ": " +
                         std::system_category().message(error));
}

}  // namespace

void ThreadPool::Signal::Raise() {
  count.fetch_add(1, std::memory_order_release);
  count.notify_all();
}

ThreadPool::ThreadPool(const ThreadPoolOptions& options)
    : row_threads_(options.row_threads),
      batch_threads_(options.batch_threads),
      n_threads_(std::max(row_threads_, batch_threads_)),
      n_few_(std::min(row_threads_, batch_threads_)),
      oversubscribed_(MoreThanCpus(n_threads_)) {}

absl::StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::Create(const ThreadPoolOptions& options) {
  std::unique_ptr<ThreadPool> pool(new ThreadPool(options));
  const int n_threads = pool->n_threads_;
  CHECK(pool->n_few_ >= 1 && n_threads <= kThreadsMax);
  pool->threads_.reserve(static_cast<size_t>(n_threads - 1));
  for (int t = 1; t < n_threads; ++t) {
    try {
      pool->threads_.emplace_back([self = pool.get(), t] { self->Loop(t); });
    } catch (const std::system_error& error) {  // the destructor ends those that have started
      return ResourceExhausted("start " + std::to_string(n_threads) + " threads: the system gave " +
                               std::to_string(t) + " (" + error.code().message() + ")");
    }
    if (options.cpus.empty()) continue;
    const int cpu = options.cpus[static_cast<size_t>(t) % options.cpus.size()];
    RETURN_IF_ERROR(BindTo(cpu, pool->threads_.back()));
  }
  return pool;
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  few_.Raise();
  rest_.Raise();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Run(int n, const std::function<void(int)>& work) {
  CHECK(n == n_threads_ || n == n_few_);
  if (!FloatEnvironmentHolds()) SetFloatEnvironment();
  work_ = &work;
  n_running_ = n;
  running_.store(n - 1, std::memory_order_relaxed);
  if (n_few_ > 1) few_.Raise();
  if (n > n_few_) rest_.Raise();
  work(0);
  SpinUntil(oversubscribed_, [this] { return running_.load(std::memory_order_acquire) == 0; });
}

void ThreadPool::Barrier() {
  if (n_running_ == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == n_running_ - 1) {
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
  std::atomic<uint32_t>& raised = thread < n_few_ ? few_.count : rest_.count;
  uint32_t seen = 0;
  for (;;) {
    int looks = 0;
    SpinUntil(oversubscribed_,
              [&] { return raised.load(std::memory_order_acquire) != seen || ++looks > kYields; });
    raised.wait(seen, std::memory_order_acquire);
    ++seen;
    if (stopping_.load()) return;
    (*work_)(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace mortar
