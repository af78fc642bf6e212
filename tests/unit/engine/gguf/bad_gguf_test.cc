// Goal: every way in which a GGUF file can be wrong gives one line that names the field, what
// was expected and what came. Each test spoils one field of a good file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "engine/gguf/gguf.h"
#include "engine/gguf/limits.h"
#include "tests/support/gguf_writer.h"

namespace mortar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kLoss = absl::StatusCode::kDataLoss;
constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;

GgufWriter GoodFile() {
  GgufWriter writer;
  writer.AddString("general.architecture", "llama");
  writer.AddUint32("llama.block_count", 1);
  writer.AddFloat("llama.rope.freq_base", 10000);
  writer.AddBool("tokenizer.ggml.add_bos_token", true);
  writer.AddStrings("tokenizer.ggml.tokens", std::vector<std::string>{"a", "bc"});
  writer.AddInts("tokenizer.ggml.token_type", std::vector<int32_t>{1, 3});
  writer.AddTensor("token_embd.weight", TensorType::kQ4_0, {32, 2}, std::vector<float>(64, 1));
  writer.AddTensor("output_norm.weight", TensorType::kF32, {32}, std::vector<float>(32, 1));
  return writer;
}

absl::Status Open(const std::vector<uint8_t>& bytes) {
  return GgufFile::FromBytes(bytes, "model.gguf").status();
}

void ExpectError(const std::function<void(GgufWriter&)>& spoil, absl::StatusCode code,
                 const std::string& message) {
  GgufWriter writer = GoodFile();
  ASSERT_TRUE(Open(writer.Bytes()).ok());
  spoil(writer);
  const absl::Status status = Open(writer.Bytes());
  EXPECT_EQ(status.code(), code) << Message(status);
  EXPECT_EQ(Message(status), "model.gguf: " + message);
}

std::vector<uint8_t> ArrayHeader(uint32_t type, uint64_t n) {
  std::vector<uint8_t> bytes;
  AppendNumber(type, bytes);
  AppendNumber(n, bytes);
  return bytes;
}

TEST(BadGguf, Preamble) {
  ExpectError([](GgufWriter& w) { w.magic = "GGML"; }, kInvalid,
              "not a GGUF file: it begins with 'GGML', expected 'GGUF'");
  ExpectError([](GgufWriter& w) { w.version = 1; }, kUnimplemented,
              "version is 1, expected 2 or 3");
  ExpectError([](GgufWriter& w) { w.version = 4; }, kUnimplemented,
              "version is 4, expected 2 or 3");
  ExpectError([](GgufWriter& w) { w.version = 3 << 24; }, kUnimplemented,
              "the file is big endian; only little endian is read");
}

TEST(BadGguf, CountsBeyondTheLimit) {
  ExpectError([](GgufWriter& w) { w.n_tensors = ~uint64_t{0}; }, kExhausted,
              "number of tensors is 18446744073709551615, the limit is 65536");
  ExpectError([](GgufWriter& w) { w.n_keys = gguf_limits::kKeysMax + 1; }, kExhausted,
              "number of metadata keys is 16385, the limit is 16384");
}

TEST(BadGguf, CountsBeyondTheBytesThatAreLeft) {
  GgufWriter writer = GoodFile();
  writer.n_tensors = 60'000;
  EXPECT_THAT(Message(Open(writer.Bytes())),
              HasSubstr("number of tensors is 60000, which cannot fit into the "));
  writer = GoodFile();
  writer.n_keys = 16'000;
  EXPECT_THAT(Message(Open(writer.Bytes())),
              HasSubstr("number of metadata keys is 16000, which cannot fit into the "));
}

TEST(BadGguf, CountsThatAreOneOff) {
  // A key too many reads a tensor as a key; a key too few reads a key as a tensor.
  GgufWriter writer = GoodFile();
  writer.n_keys = writer.keys.size() + 1;
  EXPECT_THAT(Message(Open(writer.Bytes())), HasSubstr("tensor 0: name: a string of "));
  writer = GoodFile();
  writer.n_keys = writer.keys.size() - 1;
  EXPECT_THAT(Message(Open(writer.Bytes())), HasSubstr("tensor 0: 'tokenizer.ggml.token_type': "));
}

TEST(BadGguf, Keys) {
  ExpectError([](GgufWriter& w) { w.keys[1].name = "general.architecture"; }, kInvalid,
              "metadata key 1: 'general.architecture' occurs twice");
  ExpectError([](GgufWriter& w) { w.keys[1].name = ""; }, kInvalid,
              "metadata key 1: name '' is not printable ASCII without spaces");
  ExpectError([](GgufWriter& w) { w.keys[1].name = "a\nb"; }, kInvalid,
              "metadata key 1: name 'a\\x0ab' is not printable ASCII without spaces");
  ExpectError([](GgufWriter& w) { w.keys[1].name = std::string(257, 'k'); }, kExhausted,
              "metadata key 1: name: a string of 257 bytes at offset 69 exceeds the limit of 256");
}

TEST(BadGguf, Values) {
  ExpectError([](GgufWriter& w) { w.FindKey("llama.block_count").type = 13; }, kInvalid,
              "metadata key 1: 'llama.block_count': expected a value type from 0 to 12, got 13");
  ExpectError([](GgufWriter& w) { w.FindKey("tokenizer.ggml.add_bos_token").value = {2}; },
              kInvalid,
              "metadata key 3: 'tokenizer.ggml.add_bos_token': a truth value is 0 or 1, got 2");
  ExpectError(
      [](GgufWriter& w) {
        std::vector<uint8_t>& value = w.FindKey("general.architecture").value;
        value.clear();
        AppendNumber(gguf_limits::kStringBytesMax + 1, value);
      },
      kExhausted,
      "metadata key 0: 'general.architecture': a string of 1048577 bytes at offset 56 exceeds "
      "the limit of 1048576");
}

TEST(BadGguf, Arrays) {
  const auto spoil = [](const std::vector<uint8_t>& value) {
    return [value](GgufWriter& w) { w.FindKey("tokenizer.ggml.token_type").value = value; };
  };
  const std::string where = "metadata key 5: 'tokenizer.ggml.token_type': ";
  ExpectError(spoil(ArrayHeader(9, 1)), kUnimplemented, where + "arrays of arrays are not read");
  ExpectError(spoil(ArrayHeader(13, 1)), kInvalid,
              where + "expected an element type from 0 to 12, got 13");
  ExpectError(spoil(ArrayHeader(5, gguf_limits::kArrayElementsMax + 1)), kExhausted,
              where +
                  "an array of 4194305 elements exceeds the limit of 4194304 for all arrays "
                  "of a file");
  std::vector<uint8_t> bools = ArrayHeader(7, 2);
  bools.insert(bools.end(), {1, 7});
  ExpectError(spoil(bools), kInvalid, where + "a truth value is 0 or 1, got 7");
}

TEST(BadGguf, ArraysLongerThanTheFile) {
  for (const uint32_t type : {0u, 2u, 5u, 6u, 7u, 8u, 10u, 12u}) {
    GgufWriter writer = GoodFile();
    writer.FindKey("tokenizer.ggml.token_type").value = ArrayHeader(type, 4'000'000);
    const absl::Status status = Open(writer.Bytes());
    EXPECT_EQ(status.code(), kLoss) << "element type " << type;
    EXPECT_THAT(Message(status), HasSubstr("'tokenizer.ggml.token_type'"));
  }
}

TEST(BadGguf, AnElementOfAnArrayIsNamed) {
  GgufWriter writer = GoodFile();
  std::vector<uint8_t> value = ArrayHeader(8, 2);
  AppendString("fine", value);
  AppendNumber(uint64_t{1} << 40, value);
  writer.FindKey("tokenizer.ggml.tokens").value = value;
  EXPECT_THAT(Message(Open(writer.Bytes())),
              HasSubstr("'tokenizer.ggml.tokens': element 1: a string of 1099511627776 bytes"));
}

TEST(BadGguf, ArraysTogetherBeyondTheLimit) {
  // Each array alone is within the limit; the file holds enough bytes for both.
  GgufWriter writer = GoodFile();
  std::vector<uint8_t> half = ArrayHeader(0, gguf_limits::kArrayElementsMax / 2 + 1);
  half.resize(half.size() + gguf_limits::kArrayElementsMax / 2 + 1);
  writer.AddRaw("first", 9, half);
  EXPECT_TRUE(Open(writer.Bytes()).ok());
  writer.AddRaw("second", 9, half);
  EXPECT_EQ(Open(writer.Bytes()).code(), kExhausted);
}

TEST(BadGguf, HeaderBeyondTheLimit) {
  // Strings of 1 MiB in an array: few elements, many bytes.
  const uint64_t n = gguf_limits::kHeaderBytesMax / gguf_limits::kStringBytesMax;
  std::vector<uint8_t> value = ArrayHeader(8, n);
  for (uint64_t i = 0; i < n; ++i) {
    AppendNumber(gguf_limits::kStringBytesMax, value);
    value.resize(value.size() + gguf_limits::kStringBytesMax);
  }
  GgufWriter writer;
  writer.AddRaw("long", 9, std::move(value));
  const absl::Status status = Open(writer.Bytes());
  EXPECT_EQ(status.code(), kExhausted);
  EXPECT_EQ(Message(status), "model.gguf: the header exceeds the limit of 134217728 bytes");
}

TEST(BadGguf, Alignment) {
  const std::string expected =
      "key 'general.alignment': expected a power of two from 8 to 65536, got ";
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 33u, 131072u}) {
    ExpectError([=](GgufWriter& w) { w.AddUint32("general.alignment", alignment); }, kInvalid,
                expected + std::to_string(alignment));
  }
  ExpectError([](GgufWriter& w) { w.AddString("general.alignment", "32"); }, kInvalid,
              "key 'general.alignment': expected an unsigned integer, found a string");
}

TEST(BadGguf, TensorNames) {
  ExpectError([](GgufWriter& w) { w.tensors[1].name = "token_embd.weight"; }, kInvalid,
              "tensor 1: 'token_embd.weight': occurs twice");
  ExpectError([](GgufWriter& w) { w.tensors[1].name = ""; }, kInvalid,
              "tensor 1: name '' is not printable ASCII without spaces");
  ExpectError([](GgufWriter& w) { w.tensors[1].name = "\x1b[2J"; }, kInvalid,
              "tensor 1: name '\\x1b[2J' is not printable ASCII without spaces");
  GgufWriter writer = GoodFile();
  writer.tensors[1].name = std::string(65, 't');
  EXPECT_EQ(Open(writer.Bytes()).code(), kExhausted);
}

TEST(BadGguf, Shapes) {
  const std::string where = "tensor 0: 'token_embd.weight': ";
  ExpectError([](GgufWriter& w) { w.tensors[0].n_dims = 0; }, kInvalid,
              where + "expected 1 to 4 dimensions, got 0");
  ExpectError([](GgufWriter& w) { w.tensors[0].n_dims = 5; }, kInvalid,
              where + "expected 1 to 4 dimensions, got 5");
  ExpectError([](GgufWriter& w) { w.tensors[0].shape = {32, 0}; }, kInvalid,
              where + "dimension 1 is zero");
  ExpectError([](GgufWriter& w) { w.tensors[0].shape = {uint64_t{1} << 40, 1 << 20, 16}; },
              kInvalid, where + "the product of its dimensions exceeds 64 bits at dimension 2, 16");
  ExpectError([](GgufWriter& w) { w.tensors[0].shape = {33, 2}; }, kInvalid,
              where + "rows of 33 elements are not whole blocks of 32 (Q4_0)");
  ExpectError(
      [](GgufWriter& w) {
        w.tensors[0].type = static_cast<uint32_t>(TensorType::kQ4_K);
        w.tensors[0].shape = {288, 2};
      },
      kInvalid, where + "rows of 288 elements are not whole blocks of 256 (Q4_K)");
  ExpectError(
      [](GgufWriter& w) {
        w.tensors[0].type = static_cast<uint32_t>(TensorType::kF32);
        w.tensors[0].shape = {uint64_t{1} << 62};
      },
      kInvalid, where + "its size in bytes exceeds 64 bits");
}

TEST(BadGguf, UnknownTensorTypesAreRefusedByNumberAndName) {
  const std::string known =
      " is not known here; known are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, "
      "Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS";
  const std::string where = "tensor 0: 'token_embd.weight': ";
  ExpectError([](GgufWriter& w) { w.tensors[0].type = 15; }, kUnimplemented,
              where + "type 15 (Q8_K)" + known);
  ExpectError([](GgufWriter& w) { w.tensors[0].type = 39; }, kUnimplemented,
              where + "type 39 (MXFP4)" + known);
  ExpectError([](GgufWriter& w) { w.tensors[0].type = 4; }, kUnimplemented,
              where + "type 4" + known);
  ExpectError([](GgufWriter& w) { w.tensors[0].type = 0xffffffff; }, kUnimplemented,
              where + "type 4294967295" + known);
}

TEST(BadGguf, Offsets) {
  ExpectError([](GgufWriter& w) { w.tensors[1].offset = 65; }, kInvalid,
              "tensor 1: 'output_norm.weight': offset 65 is not a multiple of the alignment, 32");
  for (const uint64_t offset : {uint64_t{1} << 20, ~uint64_t{31}}) {
    GgufWriter writer = GoodFile();
    writer.tensors[1].offset = offset;
    const std::vector<uint8_t> bytes = writer.Bytes();
    const absl::Status status = Open(bytes);
    EXPECT_EQ(status.code(), kLoss);
    EXPECT_THAT(Message(status), StartsWith("model.gguf: tensor 'output_norm.weight': offset "));
    EXPECT_THAT(Message(status), HasSubstr("beyond the file's " + std::to_string(bytes.size()) +
                                           " (is the download complete?)"));
  }
}

TEST(BadGguf, Overlaps) {
  for (const uint64_t offset : {0u, 32u}) {
    GgufWriter writer = GoodFile();
    writer.tensors[1].offset = offset;  // token_embd takes 36 bytes from 0
    const absl::Status status = Open(writer.Bytes());
    EXPECT_EQ(status.code(), kInvalid);
    EXPECT_THAT(Message(status), HasSubstr(" overlaps tensor "));
  }
}

TEST(BadGguf, CutAnywhereIsAnErrorThatSaysSo) {
  const std::vector<uint8_t> bytes = GoodFile().Bytes();
  for (size_t n = 0; n < bytes.size(); ++n) {
    const absl::Status status = Open({bytes.begin(), bytes.begin() + static_cast<long>(n)});
    EXPECT_EQ(status.code(), kLoss) << n << " of " << bytes.size() << " bytes";
    EXPECT_THAT(Message(status), HasSubstr("(is the download complete?)"));
    EXPECT_THAT(Message(status), Not(HasSubstr("\n")));
  }
}

TEST(BadGguf, EveryByteSpoiledIsReadOrRefusedInOneLine) {
  const std::vector<uint8_t> good = GoodFile().Bytes();
  int refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (const int change : {0x01, 0x02, 0x10, 0x80, 0xff}) {
      std::vector<uint8_t> bytes = good;
      bytes[i] ^= static_cast<uint8_t>(change);
      const auto file = GgufFile::FromBytes(bytes, "model.gguf");
      if (file.ok()) {
        // What was accepted is total: every tensor can be read to its last byte.
        for (const TensorInfo& tensor : (*file)->tensors()) {
          EXPECT_EQ((*file)->Data(tensor).size(), tensor.bytes);
        }
        continue;
      }
      ++refused;
      EXPECT_THAT(Message(file.status()), StartsWith("model.gguf: "));
      EXPECT_THAT(Message(file.status()), Not(HasSubstr("\n")));
    }
  }
  // Flips in the weights and in texts are harmless; those in counts and types are not.
  EXPECT_GT(refused, 300);
}

}  // namespace
}  // namespace mortar
