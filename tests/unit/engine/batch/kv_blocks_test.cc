// Goal: what is special of keys and values in blocks of eight bits: heads of several blocks, logits
// near those of f32, about half of f16's memory; heads that no block fits are refused by name. The
// promises that they keep like the others are invariance_test.cc's.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/compare.h"
#include "tests/support/gguf_encode.h"
#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

TinyEngineOptions InBlocks(int head_dim, KvType kv = KvType::kQ8_0) {
  TinyEngineOptions options;
  options.model.type = TensorType::kQ4_1;
  options.model.head_dim = head_dim;
  options.engine.kv_type = kv;
  return options;
}

TEST(KvBlocks, HeadsOfSeveralBlocksGiveTheSameLogits) {
  const std::vector<int32_t> tokens = RandomTokens(100, 1);
  for (const int head_dim : {64, 96}) {
    TinyEngineOptions options = InBlocks(head_dim);
    options.isa = "scalar";
    TinyEngine reference(options);
    const std::vector<float> want = AllLogits(*reference.engine, tokens, 100);
    options.isa = "";
    for (const int n_threads : {1, 2, 3}) {
      options.n_threads = n_threads;
      TinyEngine tiny(options);
      for (const int chunk : {100, 1, 7, 64}) {
        ASSERT_TRUE(SameBits(want, AllLogits(*tiny.engine, tokens, chunk)))
            << "heads of " << head_dim << ", " << n_threads << " threads, chunks of " << chunk;
      }
    }
  }
}

TEST(KvBlocks, LogitsAreNearThoseOfF32) {
  const std::vector<int32_t> tokens = RandomTokens(100, 4);
  TinyEngine blocks(InBlocks(64));
  TinyEngine floats(InBlocks(64, KvType::kF32));
  const std::vector<float> got = AllLogits(*blocks.engine, tokens, 100);
  const std::vector<float> want = AllLogits(*floats.engine, tokens, 100);
  double error = 0, magnitude = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - want[i], 2);
    magnitude += std::pow(static_cast<double>(want[i]), 2);
  }
  // A rounded element is off by at most 1/254 of its block's largest, 0.6 % of the root mean
  // square; each of four layers reads one key and one value of it: 8 such errors at most, walking
  // like their root.
  EXPECT_LT(std::sqrt(error / magnitude), 0.006 * std::sqrt(8.0));
  EXPECT_GT(error, 0);
}

TEST(KvBlocks, TakeSeventeenThirtySecondsOfF16) {
  TinyEngine blocks(InBlocks(64));
  TinyEngine halves(InBlocks(64, KvType::kF16));
  EXPECT_EQ(blocks.engine->kv().page_bytes() * 32, halves.engine->kv().page_bytes() * 17);
}

TEST(KvBlocks, HeadsThatNoBlockFitsAreRefusedByName) {
  const auto pool = *ThreadPool::Create(1);
  const auto file = *GgufFile::FromBytes(MakeTinyModel({.head_dim = 48}).Bytes(), "tiny.gguf");
  const auto load = [&](KvType type) {
    EngineOptions options = TinyEngineOptions{}.engine;
    options.kv_type = type;
    return Engine::Load(*file, {{true, {0, 4}, true}}, options, **SelectKernels(""), *pool)
        .status();
  };
  EXPECT_EQ(
      Message(load(KvType::kQ8_0)),
      "KV in q8_0 needs heads whose width 32 divides, and this model's are 48 wide; f16 holds "
      "them");
  EXPECT_TRUE(load(KvType::kF16).ok());
}

}  // namespace
}  // namespace mortar
