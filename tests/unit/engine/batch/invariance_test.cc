// Goal: promises 2 and 3 inside one engine: a row's result is the same bits whatever the
// chunking, the neighbours in its batch, the threads, the order of its pages, the cut into
// parts and the instruction set.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/compare.h"
#include "tests/support/gguf_encode.h"
#include "tests/support/sanitized.h"
#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

constexpr int kTokens = kSanitized ? 66 : 70;  // beyond a page of positions
static_assert(kTokens > kKvPagePositions);

constexpr KvType kKvTypes[] = {KvType::kF32, KvType::kF16, KvType::kQ8_0};
constexpr const char* kKvNames[] = {"f32", "f16", "q8_0"};  // in the order of their values

std::string Name(KvType kv) { return std::string(" with KV in ") + kKvNames[static_cast<int>(kv)]; }

TinyEngineOptions OfType(TensorType type, KvType kv) {
  TinyEngineOptions options;
  options.model.type = type;
  if (BlockElements(type) == 256) {
    options.model.n_embd = 256;  // heads of 64
    options.model.n_ff = 512;
  } else if (kv == KvType::kQ8_0) {
    options.model.head_dim = kBlock;  // instead of 16, which no block fits
  }
  options.engine.kv_type = kv;
  return options;
}

TEST(Invariance, ChunksOfAnySizeGiveTheSameLogits) {
  const std::vector<int32_t> tokens = RandomTokens(100, 1);
  for (const TensorType type : kTensorTypes) {
    for (const KvType kv : kKvTypes) {
      TinyEngine tiny(OfType(type, kv));
      const std::vector<float> whole = AllLogits(*tiny.engine, tokens, 100);
      for (const int chunk : {1, 2, 7, 64}) {
        ASSERT_TRUE(SameBits(whole, AllLogits(*tiny.engine, tokens, chunk)))
            << Name(type) << Name(kv) << " in chunks of " << chunk;
      }
    }
  }
}

TEST(Invariance, ThreadsAndInstructionSetsGiveTheSameLogits) {
  const std::vector<int32_t> tokens = RandomTokens(kTokens, 2);
  for (const TensorType type : kTensorTypes) {
    for (const KvType kv : kKvTypes) {
      // Every type of weights with one of KV, and every one of KV with one of weights: the scalar
      // kernels are slow.
      if (kv != KvType::kF16 && type != TensorType::kQ4_1) continue;
      TinyEngineOptions options = OfType(type, kv);
      options.isa = "scalar";
      TinyEngine reference(options);
      const std::vector<float> want = AllLogits(*reference.engine, tokens, 33);
      options.isa = "";
      for (const int n_threads : {1, 2, 3}) {
        options.n_threads = n_threads;
        TinyEngine tiny(options);
        ASSERT_TRUE(SameBits(want, AllLogits(*tiny.engine, tokens, 33)))
            << Name(type) << Name(kv) << ", " << n_threads << " threads";
      }
    }
  }
}

TEST(Invariance, OddShapesAndMixedTypesKeepTheirBits) {
  const std::vector<int32_t> tokens = RandomTokens(kTokens, 6);
  for (const TinyModelOptions& model : OddShapes()) {
    for (const KvType kv : kKvTypes) {
      const int head_dim = model.head_dim == 0 ? model.n_embd / model.n_heads : model.head_dim;
      if (kv == KvType::kQ8_0 && head_dim % kBlock != 0) continue;
      TinyEngineOptions options;
      options.model = model;
      options.engine.kv_type = kv;
      options.isa = "scalar";
      TinyEngine reference(options);
      const std::vector<float> want = AllLogits(*reference.engine, tokens, kTokens);
      options.isa = "";
      for (const int n_threads : {1, 3}) {
        options.n_threads = n_threads;
        TinyEngine tiny(options);
        for (const int chunk : {kTokens, 7}) {
          ASSERT_TRUE(SameBits(want, AllLogits(*tiny.engine, tokens, chunk)))
              << "heads of " << head_dim << Name(kv) << ", rotated " << model.rope_dims << ", "
              << n_threads << " threads, chunks of " << chunk;
        }
      }
    }
  }
}

// Each step takes rows of three sessions at different positions, prefill and decode mixed.
void ExpectSessionsAsAlone(Engine& engine) {
  const auto n_vocab = static_cast<size_t>(engine.config().n_vocab);
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> alone;
  for (uint64_t s = 0; s < 3; ++s) {
    tokens.push_back(RandomTokens(kTokens, 10 + s));
    alone.push_back(AllLogits(engine, tokens.back(), kTokens));
  }
  std::vector<KvTable> kv(3);
  std::vector<size_t> have(3);
  for (KvTable& table : kv) ASSERT_TRUE(engine.kv().Reserve(table, 0, kTokens).ok());
  const size_t chunks[] = {1, 5, 3, 17, 2, 1, 8};
  for (size_t step = 0; have[0] + have[1] + have[2] < 3 * kTokens; ++step) {
    std::vector<BatchRow> rows;
    std::vector<int32_t> ids;
    std::vector<int> wanted;
    for (size_t i = 0; i < 3; ++i) {
      const size_t s = (i + step) % 3;  // another order each time
      const size_t n = std::min(chunks[(step + s) % 7], kTokens - have[s]);
      for (size_t k = 0; k < n; ++k) {
        wanted.push_back(static_cast<int>(rows.size()));
        rows.push_back({&kv[s], static_cast<int>(have[s] + k)});
        ids.push_back(tokens[s][have[s] + k]);
      }
      have[s] += n;
    }
    std::vector<float> logits(rows.size() * n_vocab);
    engine.Run(0, {.rows = rows, .tokens = ids, .logit_rows = wanted, .logits = logits.data()});
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto s = static_cast<size_t>(rows[r].kv - kv.data());
      const float* want = alone[s].data() + static_cast<size_t>(rows[r].position) * n_vocab;
      ASSERT_EQ(std::memcmp(want, logits.data() + r * n_vocab, 4 * n_vocab), 0)
          << "step " << step << " session " << s << " position " << rows[r].position;
    }
  }
}

TEST(Invariance, NeighboursInTheBatchChangeNothing) {
  for (const KvType kv : kKvTypes) {
    SCOPED_TRACE(Name(kv));
    TinyEngine tiny(OfType(TensorType::kQ4_1, kv));
    ExpectSessionsAsAlone(*tiny.engine);
  }
}

TEST(Invariance, TheOrderOfPagesChangesNothing) {
  const std::vector<int32_t> tokens = RandomTokens(300, 3);
  for (const KvType kv : kKvTypes) {
    TinyEngine tiny(OfType(TensorType::kQ8_0, kv));
    const std::vector<float> want = AllLogits(*tiny.engine, tokens, 100);
    // Freed in another order than taken, the pages come back shuffled.
    KvTable a, b;
    for (int n = 64; n <= 512; n += 64) {
      ASSERT_TRUE(tiny.engine->kv().Reserve(a, 0, n).ok());
      ASSERT_TRUE(tiny.engine->kv().Reserve(b, 0, n).ok());
    }
    tiny.engine->kv().Release(b);
    tiny.engine->kv().Release(a);
    EXPECT_TRUE(SameBits(want, AllLogits(*tiny.engine, tokens, 100))) << Name(kv);
  }
}

// The device's two parts and a worker's, each in its own engine: what crosses is f32 rows.
TEST(Invariance, AnyCutGivesTheSameLogits) {
  const std::vector<int32_t> tokens = RandomTokens(kTokens, 4);
  for (const KvType kv : kKvTypes) {
    for (const bool tied : {true, false}) {
      TinyEngineOptions options = OfType(TensorType::kQ4_0, kv);
      options.model.tied_head = tied;
      TinyEngine whole(options);
      const std::vector<float> want = AllLogits(*whole.engine, tokens, kTokens);
      for (const LayerRange cloud : {LayerRange{1, 3}, {1, 2}, {0, 1}, {0, 4}, {2, 2}, {3, 4}}) {
        ASSERT_TRUE(SameBits(want, LogitsThroughCut(options, cloud, tokens)))
            << ToString(cloud) << Name(kv) << (tied ? ", tied" : ", untied");
      }
    }
  }
}

}  // namespace
}  // namespace mortar
