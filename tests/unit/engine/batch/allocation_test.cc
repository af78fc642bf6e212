// Goal: a step allocates nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/unit/engine/batch/tiny_engine.h"

namespace {
std::atomic<long> allocations{0};
}  // namespace

// Counts every allocation of this program by operator new.
void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
// Not inlined: g++ would see free() of what it takes for its own operator new's memory, and warn.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace mortar {
namespace {

TEST(Engine, AStepAllocatesNothing) {
  TinyEngineOptions options;
  options.model.type = TensorType::kQ4_1;
  options.n_threads = 2;
  TinyEngine tiny(options);
  KvTable kv;
  ASSERT_TRUE(tiny.engine->kv().Reserve(kv, 100).ok());
  std::vector<float> logits(kTinyVocab);
  const int wanted = 0;
  const long before = allocations;
  for (int p = 0; p < 50; ++p) {
    const BatchRow row = {&kv, p};
    const int32_t token = p;
    tiny.engine->Run(0, {.rows = {&row, 1},
                         .tokens = {&token, 1},
                         .logit_rows = {&wanted, 1},
                         .logits = logits.data()});
  }
  EXPECT_EQ(allocations - before, 0);
}

}  // namespace
}  // namespace mortar
