// Goal: the forward pass of every architecture equals that of the program its models come from,
// and keeps the promises of one: any chunking, threads, instruction set, cut and page give the
// same bits. The reference logits are of tests/data/architectures (README.md there).
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/compare.h"
#include "tests/support/sanitized.h"
#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

// In an engine whose context is as long as the model's.
TinyEngineOptions OptionsOf(const TinyModelOptions& model) {
  TinyEngineOptions options;
  options.model = model;
  options.parts = {{true, {0, model.n_layers}, true}};
  // LongRoPE's short factors serve half of it.
  options.engine.context_max = model.architecture == "phi3" ? model.n_ctx / 2 : model.n_ctx;
  return options;
}

TEST(Architectures, LogitsEqualTheReferences) {
  for (const NamedTinyModel& model : TinyModelOfEveryArchitecture()) {
    const std::vector<float> want = ReferenceRows("architectures", model.name, kTinyVocab);
    TinyEngine tiny(OptionsOf(model.options));
    const double largest = LargestDifference(AllLogits(*tiny.engine, ReferenceTokens(), 13), want);
    double magnitude = 0;
    for (const float v : want) magnitude += static_cast<double>(v) * v;
    RecordProperty(model.name, std::to_string(largest));
    // Both compute in binary32, each with its own order of sums, over six layers.
    EXPECT_LT(largest, 1e-4) << model.name;
    EXPECT_GT(std::sqrt(magnitude / static_cast<double>(want.size())), 0.5)
        << model.name << ": the logits are too small for this to say anything";
  }
}

// What the metadata says shows in the logits, so that the comparison above would miss none of it.
TEST(Architectures, EveryNumberOfTheMetadataShowsInTheLogits) {
  using Change = void (*)(TinyModelOptions&);
  const std::vector<std::pair<std::string, Change>> changes = {
      {"llama-linear", [](TinyModelOptions& o) { o.linear_factor = 0; }},
      {"llama-factors", [](TinyModelOptions& o) { o.rope_factors = false; }},
      {"mistral", [](TinyModelOptions& o) { o.window = 8; }},
      {"phi3", [](TinyModelOptions& o) { o.window = 8; }},
      {"phi3", [](TinyModelOptions& o) { o.rope_factors = false; }},
      {"phi3", [](TinyModelOptions& o) { o.rope_dims = 16; }},
      {"gemma2", [](TinyModelOptions& o) { o.window = 8; }},
      {"gemma2", [](TinyModelOptions& o) { o.attention_cap = 3; }},
      {"gemma2", [](TinyModelOptions& o) { o.logit_cap = 4; }},
      {"gemma3", [](TinyModelOptions& o) { o.window = 8; }},
      {"gemma3", [](TinyModelOptions& o) { o.full_every = 3; }},
      {"gemma3", [](TinyModelOptions& o) { o.linear_factor = 0; }},
      {"gemma3", [](TinyModelOptions& o) { o.rope_base = 10000; }},
  };
  for (const NamedTinyModel& model : TinyModelOfEveryArchitecture()) {
    TinyEngine tiny(OptionsOf(model.options));
    const std::vector<float> logits = AllLogits(*tiny.engine, ReferenceTokens(), 30);
    for (size_t i = 0; i < changes.size(); ++i) {
      if (changes[i].first != model.name) continue;
      TinyEngineOptions options = OptionsOf(model.options);
      changes[i].second(options.model);
      TinyEngine changed(options);
      const double largest =
          LargestDifference(logits, AllLogits(*changed.engine, ReferenceTokens(), 30));
      EXPECT_GT(largest, 0.01) << model.name << ", change " << i;  // a hundred tolerances
      EXPECT_TRUE(std::isfinite(largest)) << model.name << ", change " << i;
    }
  }
}

// Logits of `tokens` by the scalar kernels in one chunk after the other; every other way must
// give their bits.
void ExpectTheScalarBits(const NamedTinyModel& model, TensorType type, int n_tokens,
                         std::initializer_list<std::pair<int, int>> threads_and_chunks) {
  const std::vector<int32_t> tokens = RandomTokens(n_tokens, 31);
  TinyEngineOptions options = OptionsOf(model.options);
  options.model.type = type;
  options.model.head_dim = 32;  // whole blocks
  options.model.n_ctx = 2048;
  options.engine.context_max = 600;
  options.engine.kv_type = KvType::kF16;
  options.isa = "scalar";
  TinyEngine reference(options);
  const std::vector<float> want = AllLogits(*reference.engine, tokens, 128);
  options.isa = "";
  for (const auto& [n_threads, chunk] : threads_and_chunks) {
    options.n_threads = n_threads;
    TinyEngine tiny(options);
    ASSERT_TRUE(SameBits(want, AllLogits(*tiny.engine, tokens, chunk)))
        << model.name << ' ' << Name(type) << ", " << n_threads << " threads, chunks of " << chunk;
  }
}

TEST(Architectures, ChunksThreadsAndInstructionSetsGiveTheSameLogits) {
  for (const NamedTinyModel& model : TinyModelOfEveryArchitecture()) {
    for (const TensorType type : {TensorType::kF32, TensorType::kQ4_1}) {
      constexpr int kTokens = kSanitized ? 66 : 80;
      ExpectTheScalarBits(model, type, kTokens, {{1, 1}, {2, 7}, {3, kTokens}});
    }
  }
}

TEST(Architectures, WindowsThatLeaveAWholeSpanBehindGiveTheSameLogits) {
  for (const NamedTinyModel& model : TinyModelOfEveryArchitecture()) {
    if (model.options.window == 0) continue;
    ExpectTheScalarBits(model, TensorType::kQ8_0, 530, {{1, 50}, {2, 128}});
  }
}

// What crosses between parts is f32 rows; windows, caps and norms stand wherever the cut is.
TEST(Architectures, AnyCutGivesTheSameLogits) {
  const std::vector<int32_t> tokens = RandomTokens(30, 32);
  for (const NamedTinyModel& model : TinyModelOfEveryArchitecture()) {
    TinyEngineOptions options = OptionsOf(model.options);
    TinyEngine whole(options);
    const std::vector<float> want = AllLogits(*whole.engine, tokens, 30);
    for (const LayerRange cloud : {LayerRange{1, 5}, {2, 3}, {0, 6}, {5, 6}}) {
      ASSERT_TRUE(SameBits(want, LogitsThroughCut(options, cloud, tokens)))
          << model.name << ' ' << ToString(cloud);
    }
  }
}

}  // namespace
}  // namespace mortar
