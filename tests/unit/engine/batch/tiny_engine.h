// A tiny random model in an engine, and the plainest way to run tokens through it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/batch/engine.h"
#include "tests/support/tiny_model.h"

namespace mortar {

struct TinyEngineOptions {
  TinyModelOptions model;
  std::vector<PartSpec> parts = {{true, {0, 4}, true}};
  EngineOptions engine = {.kv_type = KvType::kF32,
                          .kv_positions_max = 2048,
                          .context_max = 512,
                          .rows_max = 128,
                          .logit_rows_max = 128};
  std::string isa = "";
  int n_threads = 1;
};

struct TinyEngine {
  explicit TinyEngine(const TinyEngineOptions& options);
  // Of this file instead of the options' model.
  TinyEngine(const TinyEngineOptions& options, const GgufWriter& model);

  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Engine> engine;
};

// Models of four layers whose shapes are no powers of two and whose matrices differ in type:
// widths of heads, of the rotated part and of the feed-forward, groups of heads, vocabularies.
std::vector<TinyModelOptions> OddShapes();

// Logits of every position, [n, n_vocab]: `tokens` in chunks of `chunk` through part 0.
std::vector<float> AllLogits(Engine& engine, const std::vector<int32_t>& tokens, int chunk);

// The same logits when layers `cloud` stand in an engine of their own, a worker's, and what lies
// before and after them in another, the device's: all of `tokens` in one chunk.
std::vector<float> LogitsThroughCut(TinyEngineOptions options, LayerRange cloud,
                                    const std::vector<int32_t>& tokens);

std::vector<int32_t> RandomTokens(int n, uint64_t seed);

// The tokens of the references that tests/data stores: 7, 18, 29, ... by steps of 11, those of the
// vocabulary.
inline constexpr int kReferenceTokens = 30;
std::vector<int32_t> ReferenceTokens();

// What is stored for them: tests/data/FOLDER/NAME.f32, `width` numbers a token, or a failure.
std::vector<float> ReferenceRows(const std::string& folder, const std::string& name, int width);

// Positions [0, n) of a session, whose pages it takes.
std::vector<BatchRow> RowsFromStart(Engine& engine, KvTable* kv, size_t n);

}  // namespace mortar
