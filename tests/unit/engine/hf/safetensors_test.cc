// Goal: a safetensors file is read as its format says, and what it forbids is refused by name
// before anything is allocated for it.
#include "engine/hf/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/hf/json.h"
#include "engine/hf/limits.h"
#include "tests/support/hf_writer.h"

namespace mortar {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<std::vector<SafeTensor>> Parse(const std::string& bytes) {
  return ParseSafetensors({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

// The error of a header before eight bytes of data.
std::string ErrorOf(const std::string& header) {
  return Message(Parse(SafetensorsBytes(header, std::string(8, 'x'))).status());
}

// One tensor named a, with these fields.
std::string One(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(Safetensors, ReadsTypesShapesAndPlaces) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("b":{"dtype":"BF16","shape":[2,1],"data_offsets":[4,8]},)"
                             R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )";
  const auto tensors = Parse(SafetensorsBytes(header, "12345678"));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].type, TensorType::kF32);
  EXPECT_TRUE((*tensors)[0].shape.empty());
  EXPECT_EQ((*tensors)[0].offset, 8 + header.size());
  EXPECT_EQ((*tensors)[1].type, TensorType::kBF16);
  EXPECT_EQ((*tensors)[1].shape, (std::vector<uint64_t>{2, 1}));
  EXPECT_EQ((*tensors)[1].offset, 12 + header.size());
  EXPECT_EQ((*tensors)[1].bytes, 4u);
}

TEST(Safetensors, RefusesHeadersThatAreNone) {
  EXPECT_THAT(Message(Parse("1234").status()), HasSubstr("length of its header"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(ErrorOf("{"), HasSubstr("no valid JSON"));
  EXPECT_THAT(ErrorOf(R"({"a":1})"), HasSubstr("expected an object, found a number"));
  const std::string long_header = "\xff\xff\xff\xff\xff\xff\xff\x7f{}";
  EXPECT_THAT(Message(Parse(long_header).status()), HasSubstr("the limit is 100000000"));
  std::string cut = SafetensorsBytes(One("F32", "[2]", "[0,8]"), "12345678");
  EXPECT_EQ(Parse(cut.substr(0, 20)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Parse(cut.substr(0, cut.size() - 1)).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Safetensors, RefusesTypesAndNumbersThatDoNotFit) {
  EXPECT_THAT(ErrorOf(One("I64", "[1]", "[0,8]")),
              HasSubstr("'I64' is not read; known are BF16, F16 and F32"));
  EXPECT_THAT(ErrorOf(One("F32", "[3]", "[0,8]")),
              HasSubstr("8 bytes, but shape and dtype need 12"));
  EXPECT_THAT(ErrorOf(One("F32", "[-2]", "[0,8]")), HasSubstr("found -2"));
  EXPECT_THAT(ErrorOf(One("F32", "[2.5]", "[0,8]")), HasSubstr("found 2.5"));
  EXPECT_THAT(ErrorOf(One("F32", "[1,1,1,1,2]", "[0,8]")), HasSubstr("at most 4 dimensions"));
  EXPECT_THAT(ErrorOf(One("F32", "[4294967296,4294967296]", "[0,8]")),
              HasSubstr("exceeds 64 bits"));
  EXPECT_THAT(ErrorOf(One("F32", "[2]", "[8,0]")), HasSubstr("runs backwards"));
  EXPECT_THAT(ErrorOf(One("F32", "[4]", "[0,16]")), HasSubstr("lie beyond the 8"));
  EXPECT_THAT(ErrorOf(One("F32", "[2]", "[0]")), HasSubstr("a list of two numbers"));
}

TEST(Safetensors, RefusesHolesOverlapsAndRepetitions) {
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"F16","shape":[2],"data_offsets":)" + first +
           R"(},"b":{"dtype":"F16","shape":[2],"data_offsets":)" + second + "}}";
  };
  EXPECT_EQ(ErrorOf(two("[0,4]", "[4,8]")), "");
  EXPECT_THAT(ErrorOf(two("[0,4]", "[2,6]")),
              HasSubstr("begins at byte 2 of the data, expected 4"));
  EXPECT_THAT(ErrorOf(One("F16", "[2]", "[4,8]")), HasSubstr("begins at byte 4"));
  EXPECT_THAT(ErrorOf(One("F16", "[2]", "[0,4]")), HasSubstr("the tensors end at byte"));
  EXPECT_THAT(ErrorOf(R"({"a":{},"a":{}})"), HasSubstr("'a' occurs twice"));
  EXPECT_THAT(ErrorOf(R"({"a b":{}})"), HasSubstr("without spaces"));
}

TEST(FolderJson, IsBoundedInDepthAndValues) {
  const std::string deep(hf_limits::kNestingMax + 1, '[');
  EXPECT_THAT(Message(ParseJson(deep, {1000, 1000}).status()), HasSubstr("nests deeper than 32"));
  EXPECT_THAT(Message(ParseJson("[1,2,3]", {1000, 3}).status()), HasSubstr("more than 3 values"));
  EXPECT_THAT(Message(ParseJson("[1,2,3]", {6, 9}).status()), HasSubstr("at most 6"));
  EXPECT_TRUE(ParseJson("[1,2,3]", {7, 4}).ok());
}

}  // namespace
}  // namespace mortar
