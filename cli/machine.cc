#include "cli/machine.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>

namespace mortar {
namespace {

// The first line of a file of the kernel's, or nothing.
std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Cores that hold the CPUs of this process's affinity: CPUs with one list of siblings are one.
int CoresOfAffinity() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    return static_cast<int>(std::thread::hardware_concurrency());
  }
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string siblings = FirstLine("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                                           "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
  }
  return static_cast<int>(cores.size());
}

double ToNumber(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return end == text.c_str() ? -1 : value;
}

// CPUs that the cgroup's quota pays for; 0 without a quota. Containers see their own group at
// the root of the hierarchy.
double CpusOfQuota() {
  const std::string unified = FirstLine("/sys/fs/cgroup/cpu.max");  // "200000 100000" or "max …"
  if (const size_t space = unified.find(' '); space != std::string::npos) {
    const double quota = ToNumber(unified.substr(0, space));
    const double period = ToNumber(unified.substr(space + 1));
    return quota > 0 && period > 0 ? quota / period : 0;
  }
  const double quota = ToNumber(FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
  const double period = ToNumber(FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
  return quota > 0 && period > 0 ? quota / period : 0;
}

constexpr size_t kBufferBytes = size_t{256} << 20;
constexpr int kPasses = 5;

// Four sums, so that the additions do not wait for one another.
uint64_t Sum(const uint64_t* words, size_t n) {
  std::array<uint64_t, 16> sums{};
  for (size_t i = 0; i + 16 <= n; i += 16) {
    for (size_t j = 0; j < 16; ++j) sums[j] += words[i + j];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

int UsableCores() {
  int cores = std::max(1, CoresOfAffinity());
  if (const double quota = CpusOfQuota(); quota > 0) {
    cores = std::min(cores, std::max(1, static_cast<int>(quota)));
  }
  return std::min(cores, kThreadsMax);
}

double MeasureReadBandwidth(ThreadPool& pool, const Clock& clock) {
  constexpr size_t kWords = kBufferBytes / sizeof(uint64_t);
  const std::unique_ptr<uint64_t[]> buffer(new uint64_t[kWords]);
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
  return total.load() > 0 ? best : 0;
}

}  // namespace mortar
