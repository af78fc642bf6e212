// Goal: layers shared by several shards give the bits of one engine: every type of weights and KV,
// every architecture, shares of one and two KV heads, prompts in chunks, tokens one by one and rows
// of several sessions in one batch. A shard holds its share of weights and KV alone, hands on what
// docs/operating.md says, and gives nothing when its gather fails.
#include "tests/unit/engine/batch/shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/gguf_encode.h"
#include "tests/support/sanitized.h"

namespace mortar {
namespace {

using testing::HasSubstr;

constexpr int kTokens = kSanitized ? 66 : 70;  // beyond a page of positions
constexpr LayerRange kCloud = {1, 3};

// Three KV heads, as SmolLM2 has.
TinyEngineOptions ThreeKvHeads(TensorType type = TensorType::kQ4_1, KvType kv = KvType::kF16) {
  TinyEngineOptions options;
  TinyModelOptions& model = options.model;
  model.type = type;
  model.n_heads = 6;
  model.n_kv_heads = 3;
  model.head_dim = 32;
  if (BlockElements(type) == 256) {
    model.n_embd = 256;
    model.n_ff = 512;
    model.n_heads = 12;  // o reads rows of 768
    model.head_dim = 64;
  }
  options.engine.kv_type = kv;
  return options;
}

std::vector<float> Whole(const TinyEngineOptions& options, const std::vector<int32_t>& tokens) {
  TinyEngine whole(options);
  return AllLogits(*whole.engine, tokens, kTokens);
}

TEST(Shards, EveryTypeOfWeightsKeepsItsBits) {
  const std::vector<int32_t> tokens = RandomTokens(kTokens, 1);
  for (const TensorType type : kTensorTypes) {
    const TinyEngineOptions options = ThreeKvHeads(type);
    const std::vector<float> want = Whole(options, tokens);
    for (const int count : {2, 3}) {
      ASSERT_TRUE(SameBits(want, LogitsThroughShards(options, kCloud, count, tokens, 33)))
          << Name(type) << ", " << count << " shards";
    }
  }
}

TEST(Shards, EveryTypeOfKvAndChunksOfAnySizeKeepTheirBits) {
  const std::vector<int32_t> tokens = RandomTokens(kTokens, 2);
  for (const KvType kv : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    const TinyEngineOptions options = ThreeKvHeads(TensorType::kQ5_0, kv);
    const std::vector<float> want = Whole(options, tokens);
    for (const int chunk : {1, 7, kTokens}) {
      ASSERT_TRUE(SameBits(want, LogitsThroughShards(options, kCloud, 2, tokens, chunk)))
          << "KV " << static_cast<int>(kv) << " in chunks of " << chunk;
    }
  }
}

TEST(Shards, ThreadsAndInstructionSetsKeepTheBits) {
  const std::vector<int32_t> tokens = RandomTokens(kTokens, 3);
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kF16}) {
    TinyEngineOptions options = ThreeKvHeads(type);
    const std::vector<float> want = Whole(options, tokens);
    for (const int n_threads : {1, 2, 3}) {
      options.n_threads = n_threads;
      ASSERT_TRUE(SameBits(want, LogitsThroughShards(options, kCloud, 2, tokens, 9)))
          << Name(type) << ", " << n_threads << " threads";
    }
    options.n_threads = 1;
    options.isa = "scalar";
    ASSERT_TRUE(SameBits(want, LogitsThroughShards(options, kCloud, 3, tokens, 9))) << Name(type);
  }
}

TEST(Shards, EveryArchitectureKeepsItsBits) {
  const std::vector<int32_t> tokens = RandomTokens(24, 4);  // beyond a window of 7
  for (NamedTinyModel model : TinyModelOfEveryArchitecture()) {
    TinyEngineOptions options;
    // Of heads of 24 no two fill blocks without the others.
    if (model.options.head_dim == 24) model.options.head_dim = 32;
    options.parts = {{true, {0, model.options.n_layers}, true}};
    options.engine.context_max = model.options.n_ctx / 2;
    for (const TensorType type : {TensorType::kF32, TensorType::kQ4_0}) {
      model.options.type = type;
      options.model = model.options;
      const std::vector<float> want = Whole(options, tokens);
      for (const int chunk : {1, 24}) {
        ASSERT_TRUE(SameBits(want, LogitsThroughShards(options, {0, 6}, 2, tokens, chunk)))
            << model.name << " in " << Name(type) << ", chunks of " << chunk;
      }
    }
  }
}

// A width that no group of eight divides, rows of the feed-forward that end amid a block.
TEST(Shards, OddSharesOfFloatMatricesKeepTheirBits) {
  const std::vector<int32_t> tokens = RandomTokens(kTokens, 5);
  TinyEngineOptions options;
  options.model = {.n_embd = 60, .n_ff = 150, .n_heads = 10, .n_kv_heads = 5, .head_dim = 16};
  const std::vector<float> want = Whole(options, tokens);
  for (const int count : {2, 3, 4, 5}) {
    ASSERT_TRUE(SameBits(want, LogitsThroughShards(options, kCloud, count, tokens, 11)))
        << count << " shards";
  }
}

// Each step takes rows of three sessions at different positions, prefill and decode mixed.
TEST(Shards, RowsOfSeveralSessionsInOneBatchKeepTheirBits) {
  TinyEngineOptions options = ThreeKvHeads();
  options.parts = {{false, {0, 4}, false}};
  TinyEngine whole(options);
  ShardedEngine shards(options, 2);
  const auto n_embd = static_cast<size_t>(options.model.n_embd);
  std::vector<KvTable> tables(3);
  std::vector<int> have(3);
  const int chunks[] = {1, 5, 3, 17, 2, 1, 8};
  for (int step = 0; step < 12; ++step) {
    std::vector<ShardedEngine::Rows> rows;
    std::vector<BatchRow> batch;
    for (int i = 0; i < 3; ++i) {
      const int session = (i + step) % 3;  // another order each time
      const auto s = static_cast<size_t>(session);
      const int n = chunks[(step + i) % 7];
      ASSERT_TRUE(whole.engine->kv().Reserve(tables[s], have[s], have[s] + n).ok());
      for (int k = 0; k < n; ++k, ++have[s]) {
        rows.push_back({session, have[s]});
        batch.push_back({&tables[s], have[s]});
      }
    }
    std::vector<float> in(rows.size() * n_embd);
    for (size_t i = 0; i < in.size(); ++i) {
      in[i] = static_cast<float>((i * 7919 + static_cast<size_t>(step)) % 211) / 100 - 1;
    }
    std::vector<float> want(in.size());
    whole.engine->Run(0, {.rows = batch, .rows_in = in.data(), .rows_out = want.data()});
    ASSERT_TRUE(SameBits(want, shards.Run(rows, in))) << "step " << step;
  }
}

// --- What a shard holds and hands on ---

TEST(Shards, EachHoldsItsShareOfWeightsAndKv) {
  TinyEngineOptions options = ThreeKvHeads(TensorType::kQ4_0);
  options.parts = {{false, {0, 4}, false}};
  TinyEngine whole(options);
  ShardedEngine shards(options, 2);
  const auto bytes = [](Engine& engine) { return static_cast<double>(engine.weight_bytes()); };
  const double sum = bytes(shards.shard(0)) + bytes(shards.shard(1));
  // Norms are at both; each tensor begins on a line.
  EXPECT_NEAR(sum / bytes(*whole.engine), 1, 0.05);
  EXPECT_LT(bytes(shards.shard(0)), 0.5 * bytes(*whole.engine));
  EXPECT_LT(bytes(shards.shard(1)), 0.65 * bytes(*whole.engine));
  EXPECT_LT(shards.shard(0).touched_bytes(0), whole.engine->touched_bytes(0) / 2);
  const size_t page = whole.engine->kv().page_bytes();
  EXPECT_EQ(shards.shard(0).kv().page_bytes(), page / 3);
  EXPECT_EQ(shards.shard(1).kv().page_bytes(), page / 3 * 2);
}

// Of a layer and row: attention's share as int8 and a scale for 32, hidden's as int16, and two of
// outputs in f32.
TEST(Shards, AShardHandsOnBlocksAndOutputsAlone) {
  TinyEngineOptions options = ThreeKvHeads(TensorType::kQ4_0);
  options.parts = {{false, {0, 4}, false}};
  ShardedEngine shards(options, 3);
  const std::vector<float> in(5 * static_cast<size_t>(options.model.n_embd), 0.5f);
  shards.Run({{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}}, in);
  const size_t attended = 64 + 64 / 32 * 4;  // two heads of 32
  const size_t hidden = 2 * 32 + 4;          // a block of three
  const size_t outputs = 2 * 4 * 16;         // of eight groups of eight: two
  EXPECT_EQ(shards.gather().bytes_sent(), 5 * 4 * (attended + hidden + outputs));
}

TEST(Shards, AGatherThatFailsGivesNoRowsAndIsNotAskedAgain) {
  for (const int n_threads : {1, 3}) {
    TinyEngineOptions options = ThreeKvHeads();
    options.parts = {{false, {0, 4}, false}};
    options.n_threads = n_threads;
    int asked = 0;
    options.engine.sharding = {.shard = {0, 2},
                               .all_gather = [&](auto, auto) { return ++asked < 6; }};
    TinyEngine tiny(options);
    KvTable kv;
    const std::vector<BatchRow> rows = RowsFromStart(*tiny.engine, &kv, 2);
    const std::vector<float> in(2 * static_cast<size_t>(options.model.n_embd), 0.5f);
    std::vector<float> out(in.size(), 42);
    for (int step = 0; step < 2; ++step) {
      tiny.engine->Run(0, {.rows = rows, .rows_in = in.data(), .rows_out = out.data()});
      EXPECT_EQ(asked, 6);
      EXPECT_EQ(out, std::vector<float>(in.size(), 42));
    }
  }
}

// --- What cannot be a shard ---

std::string WhyNot(const TinyEngineOptions& options) {
  auto file = GgufFile::FromBytes(MakeTinyModel(options.model).Bytes(), "tiny.gguf");
  auto pool = ThreadPool::Create(1);
  auto kernels = SelectKernels("");
  auto engine = Engine::Load(**file, options.parts, options.engine, **kernels, **pool);
  return engine.ok() ? "" : Message(engine.status());
}

TEST(Shards, WhatCannotBeSharedIsRefusedByName) {
  TinyEngineOptions options = ThreeKvHeads();
  options.parts = {{false, {0, 4}, false}};
  const auto refused = [&](ShardSpec shard) {
    options.engine.sharding = {.shard = shard, .all_gather = [](auto, auto) { return true; }};
    return WhyNot(options);
  };
  EXPECT_EQ(refused({2, 3}), "");
  EXPECT_THAT(refused({0, 4}), HasSubstr("3 KV heads can be shared by at most 3"));
  EXPECT_THAT(refused({3, 3}), HasSubstr("shard 3 of 3 is none"));
  EXPECT_THAT(refused({-1, 2}), HasSubstr("is none"));
  options.model.n_ff = 64;
  EXPECT_THAT(refused({0, 3}), HasSubstr("feed-forward of 64 outputs can be shared by at most 2"));
  // Two heads of 24 fill no blocks: all six together do.
  options.model.head_dim = 24;
  options.model.type = TensorType::kF32;  // no blocks of 32 fit them
  EXPECT_THAT(refused({0, 3}), HasSubstr("3 KV heads can be shared by at most 2"));
  options.parts = {{false, {0, 4}, true}};
  EXPECT_THAT(refused({0, 2}), HasSubstr("layers alone"));
  options.parts = {{true, {0, 4}, false}};
  EXPECT_THAT(refused({0, 2}), HasSubstr("layers alone"));
}

}  // namespace
}  // namespace mortar
