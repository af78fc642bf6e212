// Goal: once warm, a token allocates nothing: neither in the engine nor on its whole way through
// edge, coordinator and worker, greedy or sampled, on one thread or two.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "edge/lookup_drafter.h"
#include "tests/integration/embedded_cluster.h"
#include "tests/support/known_drafter.h"

// What glibc's own allocator is called behind its public names, which this program takes over.
// Underscores and capitals are glibc's.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t n, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace {
std::atomic<long> allocations{0};  // of this program, all threads, by whatever door
}  // namespace

// operator new calls malloc or aligned_alloc, and so do libraries in C.
extern "C" {
void* malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void* calloc(size_t n, size_t bytes) {
  ++allocations;
  return __libc_calloc(n, bytes);
}
void* realloc(void* memory, size_t bytes) {
  ++allocations;
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  ++allocations;
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
}

namespace mortar {
namespace {

constexpr int kThreads[] = {1, 2};
constexpr int kWarmTokens = 16;
// Of each session: they cross three borders of pages, and every size that a list of a session's
// pages or tokens could grow through.
constexpr int kCountedTokens = 192;

std::shared_ptr<GgufFile> FileOf(TensorType type) {
  TinyModelOptions options;
  options.n_layers = 6;
  options.type = type;
  return TinyFile(options);
}

TEST(Allocations, TheCounterSeesEveryDoor) {
  long seen = allocations;
  const auto saw_one = [&seen] { return allocations > std::exchange(seen, allocations); };
  std::vector<int> vector(100);
  EXPECT_TRUE(saw_one()) << "operator new";
  struct alignas(64) Line {
    char bytes[64];
  };
  std::vector<Line> lines(3);
  EXPECT_TRUE(saw_one()) << "operator new with an alignment";
  void* memory = std::malloc(vector.size());
  EXPECT_TRUE(saw_one()) << "malloc";
  memory = std::realloc(memory, 100'000);
  EXPECT_TRUE(saw_one()) << "realloc";
  std::free(memory);
  std::free(std::calloc(vector.size(), lines.size()));
  EXPECT_TRUE(saw_one()) << "calloc";
  EXPECT_FALSE(saw_one()) << "nothing happened since";
}

// Decodes positions [begin, end) of each of `tables` in one batch; returns what was allocated.
long AllocationsOfDecode(Engine& engine, std::vector<KvTable>& tables, int begin, int end) {
  std::vector<BatchRow> rows(tables.size());
  std::vector<int32_t> tokens(tables.size());
  std::vector<int> wanted(tables.size());
  std::iota(wanted.begin(), wanted.end(), 0);
  std::vector<float> logits(tables.size() * static_cast<size_t>(engine.config().n_vocab));
  const long before = allocations;
  for (int p = begin; p < end; ++p) {
    for (size_t s = 0; s < tables.size(); ++s) {
      EXPECT_TRUE(engine.kv().Reserve(tables[s], p, p + 1).ok());
      rows[s] = {&tables[s], p};
      tokens[s] = static_cast<int32_t>(s) + p % 100;
    }
    engine.Run(0, {.rows = rows, .tokens = tokens, .logit_rows = wanted, .logits = logits.data()});
  }
  return allocations - before;
}

TEST(Allocations, TheEngineDecodesWithoutAny) {
  const auto file = FileOf(TensorType::kQ4_1);
  EngineOptions options;
  options.kv_positions_max = 8 * 256;
  options.context_max = 256;
  options.logit_rows_max = 8;
  for (const int n_threads : kThreads) {
    const auto pool = *ThreadPool::Create(n_threads);
    const auto engine =
        *Engine::Load(*file, {{true, {0, 6}, true}}, options, **SelectKernels(""), *pool);
    for (const size_t sessions : {1u, 8u}) {
      std::vector<KvTable> tables(sessions);
      AllocationsOfDecode(*engine, tables, 0, kWarmTokens);
      EXPECT_EQ(AllocationsOfDecode(*engine, tables, kWarmTokens, kWarmTokens + kCountedTokens), 0)
          << sessions << " sessions, " << n_threads << " threads";
      for (KvTable& table : tables) engine->kv().Release(table);
    }
  }
}

struct Counted {
  int tokens = 0;
  long allocations = 0;
};

// Runs `request` in so many sessions at once, and counts from the moment that each has given
// `kWarmTokens` tokens until the first has all of `kCountedTokens` more.
Counted CountOnTheWholePath(EmbeddedCluster& cluster, const GenerateRequest& request,
                            int sessions) {
  for (int i = 0; i < sessions; ++i) {
    GenerateRequest own = request;
    own.prompt.push_back(i);
    EXPECT_TRUE(cluster.edge().Submit(std::move(own)).ok());
  }
  std::vector<int> given(static_cast<size_t>(sessions));
  RequestId first = 0;
  int tokens = 0;
  const auto all_given = [&](int wanted) {
    while (const std::optional<EdgeOutput> output = cluster.edge().PollOutput()) {
      if (!std::holds_alternative<TokenOut>(output->what)) continue;
      if (first == 0) first = output->request;
      ++given[output->request - first];
      ++tokens;
    }
    for (const int n : given) {
      if (n < wanted) return false;
    }
    return true;
  };
  cluster.PumpUntil([&] { return all_given(kWarmTokens); });
  Counted counted{-tokens, -allocations};
  cluster.PumpUntil([&] { return all_given(kWarmTokens + kCountedTokens); });
  counted.tokens += tokens;
  counted.allocations += allocations;
  for (int i = 0; i < sessions; ++i) cluster.edge().Cancel(first + static_cast<RequestId>(i));
  cluster.PumpUntil([&] { return cluster.edge().state().slots[0].phase == SlotPhase::kFree; });
  return counted;
}

TEST(Allocations, ATokenGoesItsWholeWayWithoutAny) {
  const auto file = FileOf(TensorType::kQ4_1);
  for (const int n_threads : kThreads) {
    for (const int sessions : {1, 8}) {
      EmbeddedCluster cluster(file,
                              {.n_workers = 2, .n_threads = n_threads, .n_parallel = sessions});
      for (const float temperature : {0.0f, 0.8f}) {
        GenerateRequest request;
        request.prompt = {10, 20, 30};
        request.sampler.temperature = temperature;
        request.n_predict = 250;
        request.ignore_end = true;
        request.stops = {"this never comes"};
        const Counted counted = CountOnTheWholePath(cluster, request, sessions);
        EXPECT_GE(counted.tokens, kCountedTokens * sessions);
        EXPECT_EQ(counted.allocations, 0)
            << counted.tokens << " tokens of " << sessions << " sessions at temperature "
            << temperature << ", " << n_threads << " threads";
      }
    }
  }
}

// Guesses that hold, so that steps are as long as they can be; and some that fail.
TEST(Allocations, NorDoStepsWithGuesses) {
  const auto file = FileOf(TensorType::kQ4_1);
  GenerateRequest request;
  request.prompt = {10, 20, 30};
  request.sampler.temperature = 0;
  request.n_predict = 250;
  request.ignore_end = true;
  std::vector<std::vector<Token>> logs;
  for (const Token session : {0, 1, 2, 3}) {  // as CountOnTheWholePath begins them
    GenerateRequest own = request;
    own.prompt.push_back(session);
    logs.push_back(own.prompt);
    for (const Token token : DecodeAlone(*file, own)) logs.back().push_back(token);
  }
  const auto lookup = [](int positions) { return std::make_unique<LookupDrafter>(positions); };
  const auto holds = [](size_t position) { return position % 40 != 0; };
  const Drafting known = KnownDrafts(kDraftMax, logs, holds, kTinyVocab);
  // Looked up by one session alone: the first of several would be over before the last is warm.
  for (const auto& [drafting, sessions] : {std::pair(Drafting{.make = lookup, .max = kDraftMax}, 1),
                                           std::pair(known, 1), std::pair(known, 4)}) {
    EmbeddedCluster cluster(file, {.n_workers = 2, .n_parallel = sessions, .drafting = drafting});
    CountOnTheWholePath(cluster, request, sessions);  // rows of every length have been taken
    const Counted counted = CountOnTheWholePath(cluster, request, sessions);
    EXPECT_GE(counted.tokens, kCountedTokens / 2 * sessions);
    EXPECT_EQ(counted.allocations, 0) << counted.tokens << " tokens of " << sessions;
  }
}

}  // namespace
}  // namespace mortar
