// Goal: encoders give the rows of the program that their models come from, and embeddings are
// pooled from them as their definition says; batch, threads, instruction set and cut change no
// bit. The reference rows are of tests/data/encoders (README.md there).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/batch/embedder.h"
#include "tests/support/compare.h"
#include "tests/support/instruction_sets.h"
#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

using testing::AllOf;
using testing::Gt;
using testing::HasSubstr;
using testing::Lt;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TinyEngineOptions OptionsOf(const TinyModelOptions& model) {
  TinyEngineOptions options;
  options.model = model;
  const bool encoder = FindArchitecture(model.architecture)->encoder;
  options.parts = {{true, {0, model.n_layers}, false, !encoder}};
  options.engine.context_max = model.n_ctx;
  return options;
}

std::vector<float> ReferenceOf(const NamedTinyModel& model) {
  return ReferenceRows("encoders", model.name, model.options.n_embd);
}

std::vector<float> RowsOf(TinyEngine& tiny, const std::vector<int32_t>& tokens) {
  std::vector<float> all;
  const auto embedder = *Embedder::Create(*tiny.engine, 0);
  EXPECT_TRUE(embedder
                  ->Run(tokens,
                        [&](int, std::span<const float> rows) {
                          all.insert(all.end(), rows.begin(), rows.end());
                        })
                  .ok());
  return all;
}

std::vector<float> Embedding(TinyEngine& tiny, const std::vector<int32_t>& tokens, Pooling pooling,
                             bool normalised) {
  const auto embedder = *Embedder::Create(*tiny.engine, 0);
  const auto row = embedder->Embed(tokens, pooling, normalised);
  EXPECT_TRUE(row.ok()) << row.status();
  return row.value_or(std::vector<float>());
}

// The definition in binary64.
std::vector<float> Pooled(const std::vector<float>& rows, size_t n_embd, Pooling pooling,
                          bool normalised) {
  const size_t n = rows.size() / n_embd;
  std::vector<double> sum(n_embd);
  for (size_t p = 0; p < n; ++p) {
    const bool taken = pooling == Pooling::kMean || p == (pooling == Pooling::kCls ? 0 : n - 1);
    for (size_t i = 0; taken && i < n_embd; ++i) sum[i] += rows[p * n_embd + i];
  }
  double squares = 0;
  for (double& v : sum) {
    if (pooling == Pooling::kMean) v /= static_cast<double>(n);
    squares += v * v;
  }
  std::vector<float> out;
  for (const double v : sum) {
    out.push_back(static_cast<float>(normalised ? v / std::sqrt(squares) : v));
  }
  return out;
}

TEST(Encoders, RowsEqualTheReferences) {
  for (const NamedTinyModel& model : TinyEncoders()) {
    const std::vector<float> want = ReferenceOf(model);
    TinyEngine tiny(OptionsOf(model.options));
    const double largest = LargestDifference(RowsOf(tiny, ReferenceTokens()), want);
    RecordProperty(model.name, std::to_string(largest));
    // Both compute in binary32, each with its own order of sums, over three layers.
    EXPECT_LT(largest, 1e-4) << model.name;
    double magnitude = 0;
    for (const float v : want) magnitude += static_cast<double>(v) * v;
    EXPECT_GT(std::sqrt(magnitude / static_cast<double>(want.size())), 0.5) << model.name;
  }
}

TEST(Encoders, EmbeddingsEqualTheReferencesPooled) {
  for (const NamedTinyModel& model : TinyEncoders()) {
    const auto n_embd = static_cast<size_t>(model.options.n_embd);
    TinyEngine tiny(OptionsOf(model.options));
    for (const Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast}) {
      for (const bool normalised : {false, true}) {
        EXPECT_LT(LargestDifference(Embedding(tiny, ReferenceTokens(), pooling, normalised),
                                    Pooled(ReferenceOf(model), n_embd, pooling, normalised)),
                  1e-4)
            << model.name << ", pooling " << static_cast<int>(pooling);
      }
    }
  }
}

// Each part of the architecture shows in the rows, so that the comparison above misses none.
TEST(Encoders, EveryTensorShowsInTheRows) {
  for (const NamedTinyModel& model : TinyEncoders()) {
    const GgufWriter writer = MakeTinyModel(model.options);
    TinyEngine tiny(OptionsOf(model.options));
    const std::vector<float> want = RowsOf(tiny, ReferenceTokens());
    for (size_t i = 0; i < writer.tensors.size(); ++i) {
      // A bias of k adds the same to all scores of a query, which changes nothing.
      if (writer.tensors[i].name.ends_with("attn_k.bias")) continue;
      GgufWriter changed = writer;
      std::vector<uint8_t>& data = changed.tensors[i].data;
      for (size_t at = 0; at < data.size(); at += 4) {
        float value;
        std::memcpy(&value, data.data() + at, 4);
        if (at / 4 % 5 == 0) value += 0.5f;  // not the same in all rows: a norm takes that away
        std::memcpy(data.data() + at, &value, 4);
      }
      TinyEngine other(OptionsOf(model.options), changed);
      EXPECT_THAT(LargestDifference(RowsOf(other, ReferenceTokens()), want),
                  AllOf(Gt(0.01), Lt(kInfinity)))
          << model.name << ' ' << writer.tensors[i].name;
    }
  }
}

TEST(Encoders, EveryPositionSeesTheLastOne) {
  for (const NamedTinyModel& model : TinyEncoders()) {
    TinyEngine tiny(OptionsOf(model.options));
    std::vector<int32_t> tokens = ReferenceTokens();
    const std::vector<float> before = RowsOf(tiny, tokens);
    tokens.back() = 5;
    const std::vector<float> after = RowsOf(tiny, tokens);
    const auto n_embd = static_cast<std::ptrdiff_t>(model.options.n_embd);
    const std::vector<float> first_before(before.begin(), before.begin() + n_embd);
    const std::vector<float> first_after(after.begin(), after.begin() + n_embd);
    EXPECT_THAT(LargestDifference(first_before, first_after), AllOf(Gt(1e-3), Lt(kInfinity)))
        << model.name;
  }
}

TEST(Encoders, ThreadsAndInstructionSetsGiveTheSameEmbedding) {
  for (const NamedTinyModel& model : TinyEncoders()) {
    for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kQ8_0}) {
      TinyEngineOptions options = OptionsOf(model.options);
      options.model.type = type;
      options.model.n_ctx = 1024;
      options.engine.context_max = 600;
      options.engine.rows_max = 600;
      options.isa = "scalar";
      // Once beyond a span of keys.
      const bool is_long = type == TensorType::kF32;
      const std::vector<int32_t> tokens = RandomTokens(is_long ? 530 : 70, 51);
      if (is_long) options.model.n_layers = options.parts[0].layers.end = 1;
      TinyEngine reference(options);
      const std::vector<float> want = Embedding(reference, tokens, Pooling::kMean, true);
      std::vector<std::string> names(std::begin(kInstructionSetsBesideScalar),
                                     std::end(kInstructionSetsBesideScalar));
      names.push_back("scalar");
      for (const std::string& isa : names) {
        if (!SelectKernels(isa).ok()) continue;
        for (const int n_threads : {1, 2}) {
          options.isa = isa;
          options.n_threads = n_threads;
          TinyEngine tiny(options);
          EXPECT_TRUE(SameBits(want, Embedding(tiny, tokens, Pooling::kMean, true)))
              << model.name << ' ' << Name(type) << ' ' << isa << ", " << n_threads << " threads";
        }
      }
    }
  }
}

// Texts of three sessions in one batch, and each alone.
TEST(Encoders, NeighboursInABatchChangeNoBit) {
  for (const NamedTinyModel& model : TinyEncoders()) {
    TinyEngine tiny(OptionsOf(model.options));
    const std::vector<int> lengths = {9, 1, 40};
    std::vector<KvTable> tables(lengths.size());
    std::vector<BatchRow> rows;
    std::vector<int32_t> tokens;
    std::vector<float> alone;
    for (size_t s = 0; s < lengths.size(); ++s) {
      const std::vector<int32_t> text = RandomTokens(lengths[s], 60 + s);
      const std::vector<float> own = RowsOf(tiny, text);
      alone.insert(alone.end(), own.begin(), own.end());
      ASSERT_TRUE(tiny.engine->kv().Reserve(tables[s], 0, lengths[s]).ok());
      for (int i = 0; i < lengths[s]; ++i) rows.push_back({&tables[s], i});
      tokens.insert(tokens.end(), text.begin(), text.end());
    }
    std::vector<float> together(alone.size());
    tiny.engine->Run(0, {.rows = rows, .tokens = tokens, .rows_out = together.data()});
    EXPECT_TRUE(SameBits(alone, together)) << model.name;
    for (KvTable& table : tables) tiny.engine->kv().Release(table);
  }
}

TEST(Encoders, ACutGivesTheSameRows) {
  for (const NamedTinyModel& model : TinyEncoders()) {
    TinyEngineOptions options = OptionsOf(model.options);
    TinyEngine whole(options);
    const std::vector<int32_t> tokens = ReferenceTokens();
    const std::vector<float> want = RowsOf(whole, tokens);
    options.parts = {{true, {0, 1}}, {false, {1, 3}}};
    TinyEngine cut(options);
    KvTable kv;
    const std::vector<BatchRow> rows = RowsFromStart(*cut.engine, &kv, tokens.size());
    std::vector<float> middle(want.size()), got(want.size());
    cut.engine->Run(0, {.rows = rows, .tokens = tokens, .rows_out = middle.data()});
    cut.engine->Run(1, {.rows = rows, .rows_in = middle.data(), .rows_out = got.data()});
    EXPECT_TRUE(SameBits(want, got)) << model.name;
    cut.engine->kv().Release(kv);
  }
}

// Of a decoder: the rows that its head would read. Chunks change no bit of a mean.
TEST(Embedder, ADecodersEmbeddingIsTheSameForAnyChunks) {
  const std::vector<int32_t> tokens = RandomTokens(50, 52);
  TinyEngineOptions options = OptionsOf({});
  TinyEngine whole(options);
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    const std::vector<float> want = Embedding(whole, tokens, pooling, true);
    options.engine.rows_max = 7;
    options.n_threads = 2;
    TinyEngine chunks(options);
    EXPECT_TRUE(SameBits(want, Embedding(chunks, tokens, pooling, true)));
  }
}

TEST(Embedder, ADecodersRowsTimesTheHeadAreItsLogits) {
  const std::vector<int32_t> tokens = RandomTokens(20, 53);
  TinyModelOptions model;
  TinyEngine rows(OptionsOf(model));
  TinyEngineOptions with_head;
  with_head.model = model;
  TinyEngine logits(with_head);
  const std::vector<float> last = Embedding(rows, tokens, Pooling::kLast, false);
  const std::vector<float> want = AllLogits(*logits.engine, tokens, 20);
  const GgufWriter writer = MakeTinyModel(model);
  for (const GgufWriter::Tensor& tensor : writer.tensors) {
    if (tensor.name != "token_embd.weight") continue;
    for (size_t token = 0; token < kTinyVocab; ++token) {
      float dot = 0;
      for (size_t i = 0; i < last.size(); ++i) {
        float weight;
        std::memcpy(&weight, tensor.data.data() + (token * last.size() + i) * 4, 4);
        dot = std::fma(weight, last[i], dot);
      }
      ASSERT_EQ(dot, want[19 * kTinyVocab + token]) << token;
    }
  }
}

std::string EmbedError(TinyEngine& tiny, const std::vector<int32_t>& tokens, bool normalised) {
  return Message(
      (*Embedder::Create(*tiny.engine, 0))->Embed(tokens, Pooling::kMean, normalised).status());
}

TEST(Embedder, TextsThatCannotBeEmbeddedAreRefused) {
  TinyEngineOptions options = OptionsOf(TinyEncoders()[0].options);
  options.engine.rows_max = 40;
  TinyEngine tiny(options);
  EXPECT_THAT(EmbedError(tiny, {}, true), HasSubstr("without tokens"));
  EXPECT_THAT(EmbedError(tiny, RandomTokens(41, 1), true),
              HasSubstr("of 41 tokens is longer than the 40"));
  EXPECT_THAT(EmbedError(tiny, {3, kTinyVocab}, true), HasSubstr("token 288 is outside"));
  EXPECT_EQ(EmbedError(tiny, RandomTokens(40, 1), true), "");
}

TEST(Embedder, RowsWithoutADirectionAreRefused) {
  const TinyModelOptions model = TinyEncoders()[0].options;
  GgufWriter writer = MakeTinyModel(model);
  const auto fill = [&](const std::string& name, float value) {
    std::vector<uint8_t>& data = writer.FindTensor(name).data;
    for (size_t at = 0; at < data.size(); at += 4) std::memcpy(data.data() + at, &value, 4);
  };
  fill("blk.2.layer_output_norm.weight", 0);
  fill("blk.2.layer_output_norm.bias", 0);
  TinyEngine zero(OptionsOf(model), writer);
  EXPECT_THAT(EmbedError(zero, {1, 2}, true), HasSubstr("has no direction"));
  EXPECT_EQ(EmbedError(zero, {1, 2}, false), "");
  fill("blk.1.ffn_up.weight", std::numeric_limits<float>::quiet_NaN());
  TinyEngine broken(OptionsOf(model), writer);
  EXPECT_THAT(EmbedError(broken, {1, 2}, false), HasSubstr("not finite"));
}

TEST(Encoders, AHeadIsRefusedByName) {
  const auto file =
      GgufFile::FromBytes(MakeTinyModel(TinyEncoders()[0].options).Bytes(), "tiny.gguf");
  const auto pool = *ThreadPool::Create(1);
  EngineOptions options = {.kv_positions_max = 64, .context_max = 64};
  const auto engine =
      Engine::Load(**file, {{true, {0, 3}, true}}, options, **SelectKernels(""), *pool);
  EXPECT_THAT(Message(engine.status()), HasSubstr("a bert model is an encoder and has no head"));
}

}  // namespace
}  // namespace mortar
