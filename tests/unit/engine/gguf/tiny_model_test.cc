// Goal: the tiny model that other tests stand on is a whole model, the same for the same seed,
// with weights that each tensor type keeps within its step.
#include "tests/support/tiny_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "tests/support/gguf_decode.h"
#include "tests/support/gguf_encode.h"

namespace mortar {
namespace {

std::shared_ptr<GgufFile> Open(const TinyModelOptions& options) {
  auto file = GgufFile::FromBytes(MakeTinyModel(options).Bytes(), "tiny.gguf");
  EXPECT_TRUE(file.ok()) << Message(file.status());
  return file.ok() ? *file : nullptr;
}

TEST(TinyModel, HoldsTheTensorsAndKeysOfALlama) {
  const auto file = Open({});
  EXPECT_EQ(*file->GetString("general.architecture"), "llama");
  EXPECT_EQ(*file->GetUint32("llama.block_count"), 4u);
  EXPECT_EQ(*file->GetUint32("llama.rope.dimension_count"), 16u);
  EXPECT_EQ(file->tensors().size(), 1u + 4 * 9 + 1);
  const TensorInfo* k = file->FindTensor("blk.3.attn_k.weight");
  EXPECT_EQ(k->shape[0], 64u);  // inputs: the width
  EXPECT_EQ(k->shape[1], 32u);  // outputs: two heads of 16
  EXPECT_EQ(file->FindTensor("output.weight"), nullptr);
  EXPECT_NE(Open({.tied_head = false})->FindTensor("output.weight"), nullptr);
}

TEST(TinyModel, VocabularyHoldsEveryByteOnceAndEveryMerge) {
  const auto file = Open({.n_vocab = 291});
  const auto& tokens = **file->GetStrings("tokenizer.ggml.tokens");
  ASSERT_EQ(tokens.size(), 291u);
  const std::set<std::string> distinct(tokens.begin(), tokens.end());
  EXPECT_EQ(distinct.size(), tokens.size());
  EXPECT_EQ(tokens[kTinySpecialTokens + 'A'], "A");
  EXPECT_EQ(tokens[kTinySpecialTokens + ' '], "\u0120");
  EXPECT_EQ(tokens[kTinySpecialTokens + '\n'], "\u010a");
  for (const std::string& merge : **file->GetStrings("tokenizer.ggml.merges")) {
    const size_t space = merge.find(' ');
    EXPECT_TRUE(distinct.contains(merge.substr(0, space))) << merge;
    EXPECT_TRUE(distinct.contains(merge.substr(space + 1))) << merge;
    EXPECT_TRUE(distinct.contains(merge.substr(0, space) + merge.substr(space + 1))) << merge;
  }
  EXPECT_EQ(file->FindTensor("token_embd.weight")->shape[1], 291u);
}

TEST(TinyModel, TheSameSeedGivesTheSameBytes) {
  EXPECT_EQ(MakeTinyModel({.seed = 7}).Bytes(), MakeTinyModel({.seed = 7}).Bytes());
  EXPECT_NE(MakeTinyModel({.seed = 7}).Bytes(), MakeTinyModel({.seed = 8}).Bytes());
}

TEST(TinyModel, ATensorDoesNotChangeWhenOthersAreAdded) {
  const auto tensor = [](const TinyModelOptions& options) {
    GgufWriter writer = MakeTinyModel(options);
    return writer.FindTensor("blk.0.ffn_down.weight").data;
  };
  EXPECT_EQ(tensor({}), tensor({.n_layers = 2, .tied_head = false}));
}

TEST(TinyModel, WeightsHaveTheStatedMeanAndDeviation) {
  GgufWriter writer = MakeTinyModel({});
  const std::vector<uint8_t>& data = writer.FindTensor("token_embd.weight").data;
  const auto n = data.size() / sizeof(float);
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) {
    float value = 0;
    std::memcpy(&value, data.data() + i * sizeof(float), sizeof(float));
    sum += value;
    squares += value * value;
  }
  // 18,432 draws: the mean's standard error is 0.0004, that of the deviation 0.0003; four each.
  EXPECT_NEAR(sum / static_cast<double>(n), 0, 0.0016);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(n)), 0.05, 0.0012);
}

TEST(TinyModel, OpensInEveryType) {
  for (const TensorType type : kTensorTypes) {
    const auto file = Open({.n_embd = 256, .n_ff = 256, .type = type});
    EXPECT_EQ(file->FindTensor("blk.0.ffn_up.weight")->type, type);
    EXPECT_EQ(file->FindTensor("blk.0.ffn_norm.weight")->type, TensorType::kF32);
  }
  const auto mixed = Open({.type = TensorType::kQ4_1, .embedding_type = TensorType::kQ8_0});
  EXPECT_EQ(mixed->FindTensor("token_embd.weight")->type, TensorType::kQ8_0);
}

TEST(EncodeF16, RoundTripsEveryHalfAndRoundsToEven) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = DecodeF16(static_cast<uint16_t>(half));
    if (std::isnan(value)) continue;
    ASSERT_EQ(EncodeF16(value), half);
  }
  EXPECT_EQ(EncodeF16(1 + 0x1p-11f), 0x3c00);      // half way: to the even neighbour
  EXPECT_EQ(EncodeF16(1 + 3 * 0x1p-11f), 0x3c02);  // half way, the other side
  EXPECT_EQ(EncodeF16(0x1p-25f), 0);               // half of the least subnormal
  EXPECT_EQ(EncodeF16(65519.0f), 0x7bff);
  EXPECT_EQ(EncodeF16(65520.0f), 0x7c00);
}

TEST(EncodeTensor, QuantisedTypesKeepValuesWithinTheirStep) {
  std::vector<float> values(256);
  for (int i = 0; i < 256; ++i) values[static_cast<size_t>(i)] = std::sin(static_cast<float>(i));
  // Half a step over a range of 2 (types with a fixed zero clip their upper end, there a whole
  // step, and IQ4 beyond 113 of 127), and the roundings of the scale: to 11 bits, at most 32 steps
  // * 2^-11, and of the scales of K types to half a 63rd or a 127th: of the scale, times the
  // largest quant, and of the minimum.
  const std::pair<TensorType, float> cases[] = {{TensorType::kQ4_0, 0.126f},
                                                {TensorType::kQ4_1, 0.068f},
                                                {TensorType::kQ5_0, 0.064f},
                                                {TensorType::kQ5_1, 0.034f},
                                                {TensorType::kQ8_0, 0.0045f},
                                                {TensorType::kQ4_K, 0.068f + 3 / 126.0f},
                                                {TensorType::kQ5_K, 0.034f + 3 / 126.0f},
                                                {TensorType::kQ6_K, 0.032f + 1 / 254.0f},
                                                {TensorType::kQ2_K, 0.34f + 3 / 30.0f},
                                                {TensorType::kQ3_K, 0.26f + 1 / 62.0f},
                                                {TensorType::kIQ4_NL, 0.111f},
                                                {TensorType::kIQ4_XS, 0.111f + 1 / 62.0f}};
  for (const auto& [type, tolerance] : cases) {
    const std::vector<uint8_t> bytes = EncodeTensor(type, values);
    ASSERT_EQ(bytes.size(), values.size() / BlockElements(type) * BlockBytes(type));
    const std::vector<double> decoded = DecodeTensor(type, bytes);
    for (size_t i = 0; i < 256; ++i) {
      EXPECT_NEAR(decoded[i], values[i], tolerance) << Name(type) << " element " << i;
    }
  }
}

TEST(EncodeTensor, BlocksOfZerosStayZero) {
  for (const TensorType type : kTensorTypes) {
    const std::vector<uint8_t> bytes = EncodeTensor(type, std::vector<float>(256, 0));
    for (const double value : DecodeTensor(type, bytes)) EXPECT_EQ(value, 0) << Name(type);
  }
}

}  // namespace
}  // namespace mortar
