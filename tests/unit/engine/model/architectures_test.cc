// Goal: metadata of every architecture is read, and what an architecture does not heed, or needs
// and does not find, is refused by the name of its key or tensor.
#include "engine/model/architectures.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "engine/model/config.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/engine/model/read_config.h"

namespace mortar {
namespace {

using testing::HasSubstr;

TinyModelOptions OptionsOf(const std::string& name) {
  for (const auto& models : {TinyModelOfEveryArchitecture(), TinyEncoders()}) {
    for (const NamedTinyModel& model : models) {
      if (model.name == name) return model.options;
    }
  }
  ADD_FAILURE() << name;
  return {};
}

GgufWriter Without(GgufWriter writer, const std::string& key) {
  EXPECT_EQ(std::erase_if(writer.keys, [&](const GgufWriter::Key& k) { return k.name == key; }), 1u)
      << key;
  return writer;
}

TEST(Architectures, EachHasATinyModelThatIsRead) {
  std::set<std::string> read;
  for (const auto& models : {TinyModelOfEveryArchitecture(), TinyEncoders()}) {
    for (const NamedTinyModel& model : models) {
      const absl::StatusOr<ModelConfig> c = ReadConfig(MakeTinyModel(model.options));
      ASSERT_TRUE(c.ok()) << model.name << ": " << c.status();
      read.insert(c->architecture);
    }
  }
  for (const Architecture& row : Architectures()) EXPECT_TRUE(read.contains(row.name)) << row.name;
}

TEST(Architectures, WindowsStandWhereTheFamilyPutsThem) {
  const ModelConfig mistral = *ReadConfig(MakeTinyModel(OptionsOf("mistral")));
  const ModelConfig gemma2 = *ReadConfig(MakeTinyModel(OptionsOf("gemma2")));
  const ModelConfig gemma3 = *ReadConfig(MakeTinyModel(OptionsOf("gemma3")));
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(WindowOf(mistral, i), 7);
    EXPECT_EQ(WindowOf(gemma2, i), i % 2 == 0 ? 7 : 0);
    EXPECT_EQ(WindowOf(gemma3, i), i < 5 ? 7 : 0);
  }
  TinyModelOptions thirds = OptionsOf("gemma3");
  thirds.full_every = 3;
  EXPECT_EQ(WindowOf(*ReadConfig(MakeTinyModel(thirds)), 2), 0);
  EXPECT_EQ(WindowOf(*ReadConfig(MakeTinyModel({})), 0), 0);
  EXPECT_EQ(WindowOf(*ReadConfig(MakeTinyModel({.window = 9})), 3), 9) << "a llama with a window";
}

TEST(Architectures, Gemma3HasAnUnscaledRotationInItsWindows) {
  const ModelConfig c = *ReadConfig(MakeTinyModel(OptionsOf("gemma3")));
  EXPECT_EQ(c.rope.base, 1000000);
  EXPECT_EQ(c.rope.divisor, 8);
  EXPECT_EQ(c.local_rope.base, 10000);
  EXPECT_EQ(c.local_rope.divisor, 1);
}

// By Gemma's reports: the models of 27 billion parameters alone divide by n_embd / n_heads.
TEST(Architectures, TheLargestGemmasScaleTheirScoresByTheWidthPerHead) {
  TinyModelOptions options = OptionsOf("gemma2");
  EXPECT_EQ(ReadConfig(MakeTinyModel(options))->attention_scale, 1 / std::sqrt(32.0f));
  options.n_layers = 46;
  EXPECT_EQ(ReadConfig(MakeTinyModel(options))->attention_scale, 0.25f);  // 64 / 4
  EXPECT_EQ(ReadConfig(MakeTinyModel(options))->embedding_scale, 8);
}

TEST(Architectures, LongFactorsEndTheContextWhereTheShortOnesDo) {
  const ModelConfig c = *ReadConfig(MakeTinyModel(OptionsOf("phi3")));
  EXPECT_EQ(c.n_ctx_train, 32);
  EXPECT_EQ(c.rope.factors.size(), 6u);
  EXPECT_EQ(c.rope.magnitude, static_cast<double>(1.0954451f));
  TinyModelOptions plain = OptionsOf("phi3");
  plain.rope_factors = false;
  EXPECT_EQ(ReadConfig(MakeTinyModel(plain))->n_ctx_train, 64);
}

TEST(Architectures, AnEncoderHasNoHeadAndSaysHowItsRowsAreOne) {
  const ModelConfig bert = *ReadConfig(MakeTinyModel(OptionsOf("bert")));
  EXPECT_EQ(bert.pooling, Pooling::kCls);
  EXPECT_EQ(bert.norm_eps, 1e-12f);
  EXPECT_EQ(bert.n_token_types, kTinyTokenTypes);
  EXPECT_EQ(bert.rope.dims, 0) << "its positions are learned";
  EXPECT_FALSE(bert.tied_head);
  const ModelConfig nomic = *ReadConfig(MakeTinyModel(OptionsOf("nomic-bert")));
  EXPECT_EQ(nomic.pooling, Pooling::kMean);
  EXPECT_EQ(nomic.rope.dims, 16);
  EXPECT_EQ(nomic.rope.base, 1000);
  EXPECT_EQ(ReadConfig(MakeTinyModel({}))->pooling, Pooling::kNone) << "the file says nothing";
}

TEST(Architectures, WhatEncodersAndDecodersCannotHaveIsRefusedByName) {
  const auto with = [](GgufWriter writer, const std::string& key, uint32_t value) {
    std::erase_if(writer.keys, [&](const GgufWriter::Key& k) { return k.name == key; });
    writer.AddUint32(key, value);
    return writer;
  };
  const GgufWriter bert = MakeTinyModel(OptionsOf("bert"));
  EXPECT_EQ(ErrorOf(with(bert, "bert.pooling_type", 4)),
            "bert.pooling_type: expected 0 to 3, got 4");
  EXPECT_THAT(ErrorOf(with(bert, "bert.attention.causal", 1)),
              HasSubstr("bert.attention.causal is not supported for this architecture"));
  EXPECT_THAT(ErrorOf(with(MakeTinyModel({}), "llama.attention.causal", 0)),
              HasSubstr("llama.attention.causal is not supported for this architecture"));
  GgufWriter writer = bert;
  std::erase_if(writer.tensors,
                [](const GgufWriter::Tensor& t) { return t.name == "token_types.weight"; });
  EXPECT_EQ(ErrorOf(writer), "tensor 'token_types.weight' is missing");
  writer = bert;
  writer.FindTensor("token_types.weight").shape = {1, 2000};
  writer.FindTensor("token_types.weight").data.resize(8000);
  EXPECT_EQ(ErrorOf(writer), "tensor 'token_types.weight': expected at most 1024 rows, got 2000");
}

TEST(Architectures, WhatIsNeededAndAbsentIsNamed) {
  for (const auto& [name, key] : std::vector<std::pair<std::string, std::string>>{
           {"gemma2", "gemma2.attention.sliding_window"},
           {"gemma2", "gemma2.attn_logit_softcapping"},
           {"gemma2", "gemma2.final_logit_softcapping"},
           {"gemma3", "gemma3.attention.sliding_window"},
           {"bert", "bert.attention.layer_norm_epsilon"},
           {"phi3", "phi3.rope.scaling.attn_factor"},
           {"phi3", "phi3.rope.scaling.original_context_length"}}) {
    EXPECT_THAT(ErrorOf(Without(MakeTinyModel(OptionsOf(name)), key)), HasSubstr(key));
  }
  GgufWriter writer = MakeTinyModel(OptionsOf("phi3"));
  std::erase_if(writer.tensors,
                [](const GgufWriter::Tensor& t) { return t.name == "rope_factors_long.weight"; });
  EXPECT_EQ(ErrorOf(writer), "tensor 'rope_factors_long.weight' is missing");
}

TEST(Architectures, AFeatureThatAnArchitectureDoesNotHeedIsRefusedByName) {
  EXPECT_THAT(ErrorOf(MakeTinyModel({.architecture = "qwen2", .window = 9})),
              HasSubstr("qwen2.attention.sliding_window is not supported"));
  EXPECT_THAT(ErrorOf(MakeTinyModel({.attention_cap = 9})),
              HasSubstr("llama.attn_logit_softcapping is not supported"));
  EXPECT_THAT(ErrorOf(MakeTinyModel({.architecture = "qwen3", .logit_cap = 9})),
              HasSubstr("qwen3.final_logit_softcapping is not supported"));
  GgufWriter writer = MakeTinyModel({});
  writer.AddString("llama.rope.scaling.type", "longrope");
  EXPECT_THAT(ErrorOf(writer), HasSubstr("'longrope' is not supported"));
  writer = MakeTinyModel({});
  writer.AddFloat("llama.residual_scale", 0.5f);
  EXPECT_THAT(ErrorOf(writer), HasSubstr("llama.residual_scale is not supported"));
  writer = MakeTinyModel({});
  writer.AddFloat("llama.residual_scale", 1);
  EXPECT_TRUE(ReadConfig(writer).ok()) << "it changes nothing";
}

TEST(Architectures, ATensorOfAnotherArchitectureIsRefusedByName) {
  for (const auto& [architecture, tensor] :
       std::vector<std::pair<std::string, std::string>>{{"qwen2", "rope_freqs.weight"},
                                                        {"qwen3", "blk.0.attn_q.bias"},
                                                        {"mistral", "blk.0.attn_q_norm.weight"},
                                                        {"phi3", "blk.0.attn_q.weight"},
                                                        {"phi3", "blk.0.ffn_gate.weight"},
                                                        {"gemma2", "blk.0.attn_q_norm.weight"},
                                                        {"bert", "output.weight"},
                                                        {"bert", "blk.0.attn_norm.weight"},
                                                        {"bert", "blk.0.ffn_gate.weight"},
                                                        {"nomic-bert", "position_embd.weight"},
                                                        {"nomic-bert", "blk.0.ffn_up.bias"}}) {
    TinyModelOptions options = OptionsOf(architecture);
    GgufWriter writer = MakeTinyModel(options);
    writer.AddTensor(tensor, TensorType::kF32, {1}, std::vector<float>{1});
    EXPECT_THAT(ErrorOf(writer), HasSubstr("tensor '" + tensor + "' is none of a " + architecture));
  }
}

TEST(Architectures, FactorsThatAreNoneAreRefused) {
  TinyModelOptions options = OptionsOf("llama-factors");
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    GgufWriter writer = MakeTinyModel(options);
    std::memcpy(writer.FindTensor("rope_freqs.weight").data.data() + 4, &bad, sizeof(bad));
    EXPECT_THAT(ErrorOf(writer), HasSubstr("tensor 'rope_freqs.weight': expected positive"));
  }
  GgufWriter writer = MakeTinyModel(options);
  writer.FindTensor("rope_freqs.weight").shape = {4};
  writer.FindTensor("rope_freqs.weight").data.resize(16);
  EXPECT_EQ(ErrorOf(writer),
            "tensor 'rope_freqs.weight': expected F32 of shape [8], got F32 with 4 elements");
}

}  // namespace
}  // namespace mortar
