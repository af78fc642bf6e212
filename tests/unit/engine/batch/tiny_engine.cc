#include "tests/unit/engine/batch/tiny_engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "common/check.h"
#include "common/random.h"

namespace mortar {
TinyEngine::TinyEngine(const TinyEngineOptions& options)
    : TinyEngine(options, MakeTinyModel(options.model)) {}

TinyEngine::TinyEngine(const TinyEngineOptions& options, const GgufWriter& model)
    : pool(*ThreadPool::Create(options.n_threads)) {
  auto file = GgufFile::FromBytes(model.Bytes(), "tiny.gguf");
  CHECK(file.ok());
  const absl::StatusOr<const KernelTable*> kernels = SelectKernels(options.isa);
  CHECK(kernels.ok());
  auto loaded = Engine::Load(**file, options.parts, options.engine, **kernels, *pool);
  CHECK(loaded.ok());
  engine = std::move(*loaded);
}

std::vector<BatchRow> RowsFromStart(Engine& engine, KvTable* kv, size_t n) {
  CHECK(engine.kv().Reserve(*kv, 0, static_cast<int>(n)).ok());
  std::vector<BatchRow> rows;
  for (size_t i = 0; i < n; ++i) rows.push_back({kv, static_cast<int>(i)});
  return rows;
}

std::vector<float> AllLogits(Engine& engine, const std::vector<int32_t>& tokens, int chunk) {
  const auto n_vocab = static_cast<size_t>(engine.config().n_vocab);
  std::vector<float> logits(tokens.size() * n_vocab);
  KvTable kv;
  CHECK(engine.kv().Reserve(kv, 0, static_cast<int>(tokens.size())).ok());
  for (size_t at = 0; at < tokens.size(); at += static_cast<size_t>(chunk)) {
    const size_t n = std::min(static_cast<size_t>(chunk), tokens.size() - at);
    std::vector<BatchRow> rows;
    for (size_t i = 0; i < n; ++i) rows.push_back({&kv, static_cast<int>(at + i)});
    std::vector<int> wanted(n);
    std::iota(wanted.begin(), wanted.end(), 0);
    engine.Run(0, {.rows = rows,
                   .tokens = {tokens.data() + at, n},
                   .logit_rows = wanted,
                   .logits = logits.data() + at * n_vocab});
  }
  engine.kv().Release(kv);
  return logits;
}

std::vector<float> LogitsThroughCut(TinyEngineOptions options, LayerRange cloud,
                                    const std::vector<int32_t>& tokens) {
  const size_t n = tokens.size();
  const auto n_embd = static_cast<size_t>(options.model.n_embd);
  options.parts = {{true, {0, cloud.begin}, false},
                   {false, {cloud.end, options.model.n_layers}, true}};
  TinyEngine edge(options);
  options.parts = {{false, cloud, false}};
  TinyEngine worker(options);
  KvTable edge_kv, worker_kv;
  const std::vector<BatchRow> edge_rows = RowsFromStart(*edge.engine, &edge_kv, n);
  const std::vector<BatchRow> worker_rows = RowsFromStart(*worker.engine, &worker_kv, n);
  std::vector<int> wanted(n);
  std::iota(wanted.begin(), wanted.end(), 0);
  std::vector<float> up(n * n_embd), down(n * n_embd);
  std::vector<float> logits(n * static_cast<size_t>(edge.engine->config().n_vocab));
  edge.engine->Run(0, {.rows = edge_rows, .tokens = tokens, .rows_out = up.data()});
  worker.engine->Run(0, {.rows = worker_rows, .rows_in = up.data(), .rows_out = down.data()});
  edge.engine->Run(
      1,
      {.rows = edge_rows, .rows_in = down.data(), .logit_rows = wanted, .logits = logits.data()});
  return logits;
}

std::vector<TinyModelOptions> OddShapes() {
  const std::vector<TensorType> floats = {TensorType::kF32, TensorType::kF16, TensorType::kBF16};
  const std::vector<TensorType> mixed = {TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kF16,
                                         TensorType::kQ4_1, TensorType::kBF16};
  // What a Q4_K_M file holds: Q6_K in part of v and down, Q5_0 where rows are no whole blocks.
  const std::vector<TensorType> k_mix = {TensorType::kQ6_K, TensorType::kQ4_K, TensorType::kQ5_K,
                                         TensorType::kQ4_K, TensorType::kQ5_1};
  return {
      {.n_embd = 60, .n_ff = 50, .n_heads = 3, .n_kv_heads = 1, .head_dim = 20, .n_vocab = 289},
      {.n_ff = 33,
       .n_heads = 6,
       .head_dim = 36,
       .rope_dims = 10,
       .n_vocab = 295,
       .mixed_types = floats,
       .tied_head = false},
      {.n_embd = 32,
       .n_ff = 1056,
       .n_heads = 2,
       .n_kv_heads = 1,
       .head_dim = 80,
       .rope_dims = 64,
       .n_vocab = 290,
       .mixed_types = mixed,
       .tied_head = false},
      {.n_ff = 160,
       .n_heads = 6,
       .head_dim = 20,
       .rope_dims = 8,
       .n_vocab = 301,
       .mixed_types = mixed},
      {.n_embd = 256,
       .n_ff = 768,
       .n_heads = 8,
       .n_vocab = 293,
       .mixed_types = k_mix,
       .tied_head = false},
  };
}

std::vector<int32_t> RandomTokens(int n, uint64_t seed) {
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) {
    tokens[static_cast<size_t>(i)] = static_cast<int32_t>(
        UniformDraw(seed, 9, static_cast<uint64_t>(i), 0) * static_cast<float>(kTinyVocab));
  }
  return tokens;
}

std::vector<int32_t> ReferenceTokens() {
  std::vector<int32_t> tokens;
  for (int i = 0; i < kReferenceTokens; ++i) tokens.push_back((7 + 11 * i) % kTinyVocab);
  return tokens;
}

std::vector<float> ReferenceRows(const std::string& folder, const std::string& name, int width) {
  const std::string path = std::string(MORTAR_TEST_DATA) + "/" + folder + "/" + name + ".f32";
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<float> rows(static_cast<size_t>(kReferenceTokens) * static_cast<size_t>(width));
  const auto bytes = static_cast<std::streamsize>(rows.size() * sizeof(float));
  EXPECT_EQ(static_cast<std::streamsize>(file.tellg()), bytes) << path;
  file.seekg(0);
  file.read(reinterpret_cast<char*>(rows.data()), bytes);
  EXPECT_TRUE(file) << path;
  return rows;
}

}  // namespace mortar
