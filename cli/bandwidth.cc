#include "cli/bandwidth.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "common/check.h"
#include "engine/kernels/prefetch.h"

namespace mortar {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 20;
constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr int kPasses = 5;

// Several sums, so that the additions do not wait for one another. Asked for ahead, as by the
// kernels: else the figure would be what a core's own prefetchers make of the memory.
uint64_t Sum(const uint64_t* words, size_t n) {
  std::array<uint64_t, 16> sums{};
  for (size_t i = 0; i + 16 <= n; i += 16) {
    PrefetchAhead(words + i, sizeof sums);
    for (size_t j = 0; j < 16; ++j) sums[j] += words[i + j];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

absl::StatusOr<double> MeasureReadBandwidth(ThreadPool& pool, const Clock& clock) {
  constexpr size_t kWords = kBufferBytes / sizeof(uint64_t);
  // In large pages where the system has them, as the weights are.
  const std::unique_ptr<uint64_t[], void (*)(void*)> buffer(
      static_cast<uint64_t*>(std::aligned_alloc(kHugePageBytes, kBufferBytes)), &std::free);
  if (buffer == nullptr) {
    return ResourceExhausted("measuring memory bandwidth takes " + std::to_string(kBufferBytes) +
                             " bytes, which the system does not give");
  }
  madvise(buffer.get(), kBufferBytes, MADV_HUGEPAGE);
  const auto share = [&](int thread) {
    const auto n = static_cast<size_t>(pool.n_threads());
    const auto t = static_cast<size_t>(thread);
    return std::pair(kWords * t / n, kWords * (t + 1) / n);
  };
  // Each thread touches its own share first, so that the pages lie near it.
  pool.Run([&](int thread) {
    const auto [begin, end] = share(thread);
    std::fill(buffer.get() + begin, buffer.get() + end, uint64_t{1});
  });
  std::atomic<uint64_t> total{0};  // used, so that the reads happen
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const Time start = clock.Now();
    pool.Run([&](int thread) {
      const auto [begin, end] = share(thread);
      total += Sum(buffer.get() + begin, end - begin);
    });
    best = std::max(best, static_cast<double>(kBufferBytes) / Seconds(clock.Now() - start));
  }
  CHECK(total.load() > 0);
  return best;
}

}  // namespace mortar
