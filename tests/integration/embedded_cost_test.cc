// Goal: what the three roles cost beside the engine: at most 100 µs and few allocations a token.
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

#include "tests/integration/embedded_cluster.h"

namespace {
std::atomic<long> allocations{0};
}  // namespace

// Counts every allocation of this program by operator new. Not inlined: g++ would pair the one
// half with the library's other.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace mortar {
namespace {

constexpr int kTokens = 200;

// The processor's time of this thread: other programs on the machine do not count.
double ThreadMicroseconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
}

GenerateRequest Request() {
  GenerateRequest request;
  request.prompt = {10, 20, 30};
  request.sampler.temperature = 0;
  request.n_predict = kTokens;
  request.ignore_end = true;
  return request;
}

// One run, from its first token to its last.
struct Cost {
  double us_per_token;
  double allocations_per_token;
};
Cost Measure(EmbeddedCluster& cluster) {
  EXPECT_TRUE(cluster.edge().Submit(Request()).ok());
  double began = 0;
  long allocations_began = 0;
  Cost cost{};
  bool ended = false;
  cluster.PumpUntil([&] {
    while (const std::optional<EdgeOutput> output = cluster.edge().PollOutput()) {
      if (std::holds_alternative<TokenOut>(output->what) && began == 0) {
        began = ThreadMicroseconds();
        allocations_began = allocations;
      } else if (std::holds_alternative<Finished>(output->what)) {
        cost = {(ThreadMicroseconds() - began) / (kTokens - 1),
                static_cast<double>(allocations - allocations_began) / (kTokens - 1)};
        ended = true;
      }
    }
    return ended;
  });
  return cost;
}

TEST(EmbeddedCost, AtMostAHundredMicrosecondsAndFewAllocationsAToken) {
  // A model so small that the roles' share is most of a token. One compute thread, so that all
  // work is this thread's.
  TinyModelOptions options;
  options.n_layers = 6;
  auto file = *GgufFile::FromBytes(MakeTinyModel(options).Bytes(), "tiny.gguf");
  EmbeddedCluster cluster(file, {.n_workers = 1});
  Measure(cluster);  // warm
  Cost best = Measure(cluster);
  double alone = 1e9;
  for (int i = 0; i < 5; ++i) {
    const Cost cost = Measure(cluster);
    best.us_per_token = std::min(best.us_per_token, cost.us_per_token);
    best.allocations_per_token = std::min(best.allocations_per_token, cost.allocations_per_token);
    double began = 0;
    DecodeAlone(*file, Request(), [&] { began = ThreadMicroseconds(); });
    alone = std::min(alone, (ThreadMicroseconds() - began) / (kTokens - 1));
  }
  const double added = best.us_per_token - alone;
  std::printf(
      "a token: %.1f us through three roles, %.1f alone, %.2f "
      "allocations\n",
      best.us_per_token, alone, best.allocations_per_token);
  EXPECT_LE(added, 100.0);
  // The whole path of a token takes its memory from what it had: rows, queues and batches are
  // kept. What is left are messages of membership, a few a second.
  EXPECT_LE(best.allocations_per_token, 1.0);
}

}  // namespace
}  // namespace mortar
