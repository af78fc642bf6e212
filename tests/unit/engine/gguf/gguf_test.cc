// Goal: what a GGUF file holds is read as it was written, and typed reads say what they expect.
#include "engine/gguf/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/gguf_writer.h"

namespace mortar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsNull;

std::shared_ptr<GgufFile> Read(const GgufWriter& writer) {
  auto file = GgufFile::FromBytes(writer.Bytes(), "model.gguf");
  EXPECT_TRUE(file.ok()) << Message(file.status());
  return file.ok() ? *file : nullptr;
}

GgufWriter WithEveryKind() {
  GgufWriter writer;
  writer.AddUint32("u32", 4'000'000'000);
  writer.AddInt32("i32", -3);
  writer.AddUint64("u64", uint64_t{1} << 40);
  writer.AddFloat("f32", 0.1f);
  writer.AddDouble("f64", 1e300);
  writer.AddBool("yes", true);
  writer.AddString("text", "a brick");
  writer.AddStrings("texts", std::vector<std::string>{"", "two", "three"});
  writer.AddInts("ints", std::vector<int32_t>{-1, 0, 2147483647});
  writer.AddFloats("floats", std::vector<float>{-0.5f, 1e-40f});
  return writer;
}

TEST(Gguf, ReadsEveryKindOfValueExactly) {
  const auto file = Read(WithEveryKind());
  EXPECT_EQ(*file->GetUint32("u32"), 4'000'000'000u);
  EXPECT_EQ(std::get<int64_t>(file->metadata().at("i32")), -3);
  EXPECT_EQ(std::get<uint64_t>(file->metadata().at("u64")), uint64_t{1} << 40);
  EXPECT_EQ(*file->GetFloat("f32"), 0.1f);
  EXPECT_EQ(std::get<double>(file->metadata().at("f64")), 1e300);
  EXPECT_TRUE(*file->GetBool("yes"));
  EXPECT_EQ(*file->GetString("text"), "a brick");
  EXPECT_THAT(**file->GetStrings("texts"), ElementsAre("", "two", "three"));
  EXPECT_THAT(*file->GetInts("ints"), ElementsAre(-1, 0, 2147483647));
  const auto& floats = std::get<GgufArray>(file->metadata().at("floats"));
  EXPECT_THAT(std::get<std::vector<double>>(floats), ElementsAre(-0.5, 1e-40f));
  EXPECT_THAT(*file->GetFloats("floats"), ElementsAre(-0.5f, 1e-40f));
}

TEST(Gguf, KeepsZeroBytesAndInvalidUtf8InStrings) {
  GgufWriter writer;
  const std::string text("a\0b\n\xff", 5);
  writer.AddString("text", text);
  EXPECT_EQ(*Read(writer)->GetString("text"), text);
}

TEST(Gguf, WidensTheNarrowIntegersWithTheirSign) {
  GgufWriter writer;
  writer.AddRaw("u8", 0, {200});
  writer.AddRaw("i8", 1, {200});
  writer.AddRaw("u16", 2, {0x34, 0xf2});
  writer.AddRaw("i16", 3, {0x34, 0xf2});
  writer.AddRaw("i64", 11, {0xfe, 255, 255, 255, 255, 255, 255, 255});
  const auto file = Read(writer);
  EXPECT_EQ(std::get<uint64_t>(file->metadata().at("u8")), 200u);
  EXPECT_EQ(std::get<int64_t>(file->metadata().at("i8")), -56);
  EXPECT_EQ(std::get<uint64_t>(file->metadata().at("u16")), 0xf234u);
  EXPECT_EQ(std::get<int64_t>(file->metadata().at("i16")), -0x0dcc);
  EXPECT_EQ(std::get<int64_t>(file->metadata().at("i64")), -2);
}

TEST(Gguf, ReadsArraysOfEveryElementType) {
  const auto array = [](uint32_t type, std::vector<uint8_t> elements, uint64_t n) {
    std::vector<uint8_t> bytes;
    AppendNumber(type, bytes);
    AppendNumber(n, bytes);
    bytes.insert(bytes.end(), elements.begin(), elements.end());
    return bytes;
  };
  GgufWriter writer;
  writer.AddRaw("u8", 9, array(0, {1, 255}, 2));
  writer.AddRaw("i8", 9, array(1, {1, 255}, 2));
  writer.AddRaw("u16", 9, array(2, {1, 0, 255, 255}, 2));
  writer.AddRaw("i16", 9, array(3, {1, 0, 255, 255}, 2));
  writer.AddRaw("u32", 9, array(4, {255, 255, 255, 127}, 1));
  writer.AddRaw("bools", 9, array(7, {1, 0, 1}, 3));
  writer.AddRaw("u64", 9, array(10, {9, 0, 0, 0, 0, 0, 0, 0}, 1));
  writer.AddRaw("i64", 9, array(11, {255, 255, 255, 255, 255, 255, 255, 255}, 1));
  writer.AddRaw("f64", 9, array(12, {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, 1));
  writer.AddRaw("none", 9, array(5, {}, 0));
  const auto file = Read(writer);
  EXPECT_THAT(*file->GetInts("u8"), ElementsAre(1, 255));
  EXPECT_THAT(*file->GetInts("i8"), ElementsAre(1, -1));
  EXPECT_THAT(*file->GetInts("u16"), ElementsAre(1, 65535));
  EXPECT_THAT(*file->GetInts("i16"), ElementsAre(1, -1));
  EXPECT_THAT(*file->GetInts("u32"), ElementsAre(2147483647));
  const auto& bools = std::get<GgufArray>(file->metadata().at("bools"));
  EXPECT_THAT(std::get<std::vector<bool>>(bools), ElementsAre(true, false, true));
  EXPECT_THAT(*file->GetInts("u64"), ElementsAre(9));
  EXPECT_THAT(*file->GetInts("i64"), ElementsAre(-1));
  const auto& doubles = std::get<GgufArray>(file->metadata().at("f64"));
  EXPECT_THAT(std::get<std::vector<double>>(doubles), ElementsAre(1.5));
  EXPECT_THAT(*file->GetInts("none"), ElementsAre());
}

TEST(Gguf, TypedReadsNameTheKeyTheWantedAndTheFound) {
  const auto file = Read(WithEveryKind());
  const auto missing = file->GetUint32("llama.block_count").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(missing), "model.gguf: key 'llama.block_count' is missing");

  const auto wrong = file->GetUint32("text").status();
  EXPECT_EQ(wrong.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(wrong),
            "model.gguf: key 'text': expected an unsigned integer of 32 bits, found a string");

  EXPECT_EQ(Message(file->GetUint32("i32").status()),
            "model.gguf: key 'i32': expected an unsigned integer of 32 bits, found -3");
  EXPECT_FALSE(file->GetUint32("u64").ok());
  EXPECT_FALSE(file->GetUint32("ints").ok());
  EXPECT_FALSE(file->GetFloat("u32").ok());
  EXPECT_FALSE(file->GetFloat("f64").ok());  // beyond the floats
  EXPECT_FALSE(file->GetBool("u32").ok());
  EXPECT_FALSE(file->GetString("texts").ok());
  EXPECT_FALSE(file->GetStrings("text").ok());
  EXPECT_FALSE(file->GetStrings("ints").ok());
  EXPECT_FALSE(file->GetInts("floats").ok());
  EXPECT_FALSE(file->GetInts("i32").ok());
  EXPECT_FALSE(file->GetFloats("ints").ok());
  EXPECT_FALSE(file->GetFloats("f64").ok());
}

TEST(Gguf, RefusesANumberThatDoesNotFit) {
  GgufWriter writer;
  writer.AddFloat("nan", std::nanf(""));
  writer.AddFloat("inf", std::numeric_limits<float>::infinity());
  std::vector<uint8_t> wide;
  AppendNumber(uint32_t{10}, wide);
  AppendNumber(uint64_t{2}, wide);
  AppendNumber(uint64_t{7}, wide);
  AppendNumber(uint64_t{2147483648}, wide);
  writer.AddRaw("wide", 9, wide);
  const auto file = Read(writer);
  EXPECT_FALSE(file->GetFloat("nan").ok());
  EXPECT_FALSE(file->GetFloat("inf").ok());
  EXPECT_EQ(Message(file->GetInts("wide").status()),
            "model.gguf: key 'wide': expected an array of integers of 32 bits, found 2147483648");
}

TEST(Gguf, TensorsLieWhereTheyWereWritten) {
  GgufWriter writer;
  writer.AddTensor("one", TensorType::kF32, {3}, std::vector<float>{1, 2, 3});
  writer.AddTensor("two", TensorType::kQ8_0, {32, 2}, std::vector<float>(64, 1));
  writer.AddTensor("three", TensorType::kF16, {2, 1, 2, 1}, std::vector<float>{1, 2, 3, 4});
  const auto file = Read(writer);
  ASSERT_EQ(file->tensors().size(), 3u);

  const TensorInfo* one = file->FindTensor("one");
  EXPECT_EQ(one->type, TensorType::kF32);
  EXPECT_EQ(one->n_dims, 1);
  EXPECT_THAT(one->shape, ElementsAre(3, 1, 1, 1));
  EXPECT_EQ(one->bytes, 12u);
  EXPECT_EQ(one->offset % 32, 0u);
  float values[3];
  std::memcpy(values, file->Data(*one).data(), sizeof(values));
  EXPECT_THAT(values, ElementsAre(1, 2, 3));

  const TensorInfo* two = file->FindTensor("two");
  EXPECT_EQ(two->bytes, 68u);
  EXPECT_EQ(two->offset, one->offset + 32);
  const TensorInfo* three = file->FindTensor("three");
  EXPECT_EQ(three->n_dims, 4);
  EXPECT_EQ(three->n_elements(), 4u);
  EXPECT_EQ(three->offset + three->bytes, file->file_bytes());
  EXPECT_THAT(file->FindTensor("four"), IsNull());
}

TEST(Gguf, HonoursTheAlignmentThatTheFileStates) {
  for (const uint32_t alignment : {8u, 64u, 4096u, 65536u}) {
    GgufWriter writer;
    writer.alignment = alignment;
    writer.AddUint32("general.alignment", alignment);
    writer.AddTensor("one", TensorType::kF32, {1}, std::vector<float>{1});
    writer.AddTensor("two", TensorType::kF32, {1}, std::vector<float>{2});
    const auto file = Read(writer);
    EXPECT_EQ(file->tensors()[0].offset % alignment, 0u);
    EXPECT_EQ(file->tensors()[1].offset, file->tensors()[0].offset + alignment);
  }
}

TEST(Gguf, ReadsVersion2AndFilesWithoutKeysOrTensors) {
  GgufWriter writer;
  writer.version = 2;
  const auto file = Read(writer);
  EXPECT_TRUE(file->metadata().empty());
  EXPECT_TRUE(file->tensors().empty());
}

TEST(Gguf, AllowsGapsBetweenTensors) {
  GgufWriter writer;
  writer.AddTensor("one", TensorType::kF32, {1}, std::vector<float>{1});
  writer.AddTensor("two", TensorType::kF32, {16}, std::vector<float>(16, 2));
  writer.tensors[1].offset = 64;  // 32 would follow at once
  std::vector<uint8_t> bytes = writer.Bytes();
  bytes.resize(bytes.size() + 32);
  const auto file = GgufFile::FromBytes(bytes, "model.gguf");
  ASSERT_TRUE(file.ok()) << Message(file.status());
  EXPECT_EQ((*file)->tensors()[1].offset, (*file)->tensors()[0].offset + 64);
}

TEST(Gguf, TypesHaveTheFormatsBlocks) {
  const auto bits = [](TensorType type) { return 8.0 * BlockBytes(type) / BlockElements(type); };
  EXPECT_EQ(bits(TensorType::kF32), 32);
  EXPECT_EQ(bits(TensorType::kF16), 16);
  EXPECT_EQ(bits(TensorType::kBF16), 16);
  EXPECT_EQ(bits(TensorType::kQ4_0), 4.5);
  EXPECT_EQ(bits(TensorType::kQ4_1), 5);
  EXPECT_EQ(bits(TensorType::kQ5_0), 5.5);
  EXPECT_EQ(bits(TensorType::kQ5_1), 6);
  EXPECT_EQ(bits(TensorType::kQ8_0), 8.5);
  EXPECT_EQ(bits(TensorType::kQ4_K), 4.5);
  EXPECT_EQ(bits(TensorType::kQ5_K), 5.5);
  EXPECT_EQ(bits(TensorType::kQ6_K), 6.5625);
  EXPECT_EQ(bits(TensorType::kQ2_K), 2.625);
  EXPECT_EQ(bits(TensorType::kQ3_K), 3.4375);
  EXPECT_EQ(bits(TensorType::kIQ4_NL), 4.5);
  EXPECT_EQ(bits(TensorType::kIQ4_XS), 4.25);
  EXPECT_STREQ(Name(TensorType::kBF16), "BF16");
}

}  // namespace
}  // namespace mortar
