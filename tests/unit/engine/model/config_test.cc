// Goal: a model's shape is read from its metadata, and what contradicts itself is refused by
// the name of the key.
#include "engine/model/config.h"

#include <gmock/gmock.h>

#include "tests/support/tiny_model.h"
#include "tests/unit/engine/model/read_config.h"

namespace mortar {
namespace {

using testing::HasSubstr;

// The tiny model with one unsigned key set to `value`.
GgufWriter With(const std::string& key, uint32_t value) {
  GgufWriter writer = MakeTinyModel({});
  std::erase_if(writer.keys, [&](const GgufWriter::Key& k) { return k.name == key; });
  writer.AddUint32(key, value);
  return writer;
}

TEST(ModelConfig, HoldsWhatTheMetadataSays) {
  const absl::StatusOr<ModelConfig> c = ReadConfig(MakeTinyModel({}));
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->architecture, "llama");
  EXPECT_EQ(c->n_layers, 4);
  EXPECT_EQ(c->n_embd, 64);
  EXPECT_EQ(c->n_heads, 4);
  EXPECT_EQ(c->n_kv_heads, 2);
  EXPECT_EQ(c->head_dim, 16);
  EXPECT_EQ(c->n_ff, 96);
  EXPECT_EQ(c->n_vocab, kTinyVocab);
  EXPECT_EQ(c->n_ctx_train, 512);
  EXPECT_EQ(c->rope.dims, 16);
  EXPECT_TRUE(c->tied_head);
}

TEST(ModelConfig, AnUntiedHeadIsSeen) {
  EXPECT_FALSE(ReadConfig(MakeTinyModel({.tied_head = false}))->tied_head);
}

TEST(ModelConfig, AnUnknownArchitectureIsRefusedWithTheKnownOnes) {
  GgufWriter writer = MakeTinyModel({});
  std::erase_if(writer.keys,
                [](const GgufWriter::Key& k) { return k.name == "general.architecture"; });
  writer.AddString("general.architecture", "mamba");
  EXPECT_EQ(ErrorOf(writer),
            "architecture 'mamba' is not supported; known are llama, mistral, qwen2, qwen3, phi3, "
            "gemma2, gemma3, bert, nomic-bert");
}

TEST(ModelConfig, NamesOfAMegabyteDoNotFloodTheLine) {
  for (const std::string key : {"general.architecture", "llama.rope.scaling.type"}) {
    GgufWriter writer = MakeTinyModel({});
    std::erase_if(writer.keys, [&](const GgufWriter::Key& k) { return k.name == key; });
    writer.AddString(key, std::string(1 << 20, 'x'));
    EXPECT_THAT(ErrorOf(writer),
                testing::AllOf(HasSubstr("xxx...'"), testing::SizeIs(testing::Lt(200))));
  }
}

TEST(ModelConfig, ValuesOutOfBoundsNameTheirKey) {
  EXPECT_EQ(ErrorOf(With("llama.block_count", 0)), "llama.block_count: expected 1 to 1024, got 0");
  EXPECT_THAT(ErrorOf(With("llama.embedding_length", 1u << 30)),
              HasSubstr("llama.embedding_length: expected 1 to 131072"));
  EXPECT_THAT(ErrorOf(With("llama.attention.head_count_kv", 3)),
              HasSubstr("3 does not divide the 4 query heads"));
  EXPECT_THAT(ErrorOf(With("llama.attention.head_count", 6)), HasSubstr("does not divide"));
  EXPECT_THAT(ErrorOf(With("llama.rope.dimension_count", 15)), HasSubstr("even number"));
  EXPECT_THAT(ErrorOf(With("llama.rope.dimension_count", 32)), HasSubstr("up to the head's 16"));
  EXPECT_THAT(ErrorOf(With("llama.embedding_length", 128)),
              HasSubstr("token_embd.weight': expected shape [128, vocabulary], got [64, 288]"));
}

TEST(ModelConfig, FeaturesThatWouldChangeTheResultAreRefusedByName) {
  GgufWriter writer = MakeTinyModel({});
  writer.AddString("llama.rope.scaling.type", "yarn");
  EXPECT_THAT(ErrorOf(writer), HasSubstr("rope.scaling.type 'yarn' is not supported"));
  EXPECT_THAT(ErrorOf(With("llama.expert_count", 8)),
              HasSubstr("llama.expert_count is not supported for this architecture: expected 0"));
}

TEST(ModelConfig, PositionsAreDividedByAFactorOfLinearScalingWithOrWithoutItsType) {
  for (const std::string key : {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
    GgufWriter writer = MakeTinyModel({});
    writer.AddFloat(key, 4);
    EXPECT_EQ(ReadConfig(writer)->rope.divisor, 4) << key;
    writer.AddString("llama.rope.scaling.type", "linear");
    EXPECT_EQ(ReadConfig(writer)->rope.divisor, 4) << key;
    std::erase_if(writer.keys,
                  [](const GgufWriter::Key& k) { return k.name == "llama.rope.scaling.type"; });
    writer.AddString("llama.rope.scaling.type", "none");
    EXPECT_EQ(ErrorOf(writer), key + ": expected 1 with scaling of type none, got 4.000000");
    EXPECT_FALSE(ReadConfig(MakeTinyModel({.linear_factor = -1})).ok());
    // 512 positions of a thousandth each would turn too far for the table.
    EXPECT_THAT(ErrorOf(MakeTinyModel({.linear_factor = 1e-4f})), HasSubstr("more than 2^20"));
  }
}

TEST(ModelConfig, ATensorThatTheArchitectureDoesNotKnowIsRefusedByName) {
  for (const std::string name :
       {"blk.0.attn_q.bias", "blk.3.ffn_down.scale", "rope_factors_long.weight", "output.bias",
        "blk.4.attn_q.weight", "blk.01.attn_q.weight", "attn_q.weight"}) {
    GgufWriter writer = MakeTinyModel({});
    writer.AddTensor(name, TensorType::kF32, {1}, std::vector<float>{1});
    EXPECT_EQ(ErrorOf(writer), "tensor '" + name +
                                   "' is none of a llama model with 4 layers; without it the "
                                   "result would be another");
  }
}

TEST(ModelConfig, AFrequencyBaseBelowOneIsRefused) {
  EXPECT_EQ(ErrorOf(MakeTinyModel({.rope_base = 0.5f})),
            "llama.rope.freq_base: expected at least 1, got 0.500000");
  EXPECT_FALSE(ReadConfig(MakeTinyModel({.rope_base = 1e-30f})).ok());
  EXPECT_TRUE(ReadConfig(MakeTinyModel({.rope_base = 1})).ok());
}

TEST(ModelConfig, EveryMissingKeyIsNamed) {
  for (const std::string key :
       {"general.architecture", "llama.block_count", "llama.context_length",
        "llama.embedding_length", "llama.feed_forward_length", "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon"}) {
    GgufWriter writer = MakeTinyModel({});
    std::erase_if(writer.keys, [&](const GgufWriter::Key& k) { return k.name == key; });
    EXPECT_THAT(ErrorOf(writer), HasSubstr(key));
  }
}

}  // namespace
}  // namespace mortar
