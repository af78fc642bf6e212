// Goal: the cursor never leaves its bytes, stays where it was on an error, and untrusted names
// cannot forge a line of a message.
#include "engine/gguf/reader.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace mortar {
namespace {

TEST(ByteReader, ReadsNumbersOneAfterAnother) {
  const std::vector<uint8_t> bytes = {1, 0, 0, 0, 2, 3};
  ByteReader reader(bytes);
  uint32_t wide = 0;
  uint8_t narrow = 0;
  ASSERT_TRUE(reader.Read(&wide).ok());
  ASSERT_TRUE(reader.Read(&narrow).ok());
  EXPECT_EQ(wide, 1u);
  EXPECT_EQ(narrow, 2);
  EXPECT_EQ(reader.offset(), 5u);
  EXPECT_EQ(reader.remaining(), 1u);
}

TEST(ByteReader, SaysWhereTheBytesEnd) {
  const std::vector<uint8_t> bytes(6);
  ByteReader reader(bytes);
  uint32_t number = 0;
  ASSERT_TRUE(reader.Read(&number).ok());
  const absl::Status status = reader.Read(&number);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Message(status),
            "expected 4 bytes at offset 4, but the file ends at 6 (is the download complete?)");
  EXPECT_EQ(reader.offset(), 4u);
}

TEST(ByteReader, RefusesStringsThatAreLongerThanTheBytesOrTheLimit) {
  std::vector<uint8_t> bytes = {3, 0, 0, 0, 0, 0, 0, 0, 'a', 'b'};
  std::string_view text;
  ByteReader cut(bytes);
  EXPECT_EQ(cut.ReadString(10, &text).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(cut.offset(), 0u);

  ByteReader limited(bytes);
  EXPECT_EQ(limited.ReadString(2, &text).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(limited.offset(), 0u);

  bytes.push_back('c');
  ByteReader whole(bytes);
  ASSERT_TRUE(whole.ReadString(3, &text).ok());
  EXPECT_EQ(text, "abc");
}

TEST(ByteReader, CountsThatWouldWrapAroundAreRefused) {
  const std::vector<uint8_t> bytes(16, 0xff);
  std::string_view text;
  ByteReader reader(bytes);
  EXPECT_EQ(reader.ReadString(std::numeric_limits<uint64_t>::max(), &text).code(),
            absl::StatusCode::kDataLoss);
}

TEST(Quoted, EscapesWhatCouldForgeALineAndCutsWhatIsLong) {
  EXPECT_EQ(Quoted("blk.0.attn_q.weight"), "'blk.0.attn_q.weight'");
  EXPECT_EQ(Quoted("a\nb'\x1b[2J"), "'a\\x0ab\\x27\\x1b[2J'");
  EXPECT_EQ(Quoted(std::string(81, 'x')), "'" + std::string(80, 'x') + "...'");
}

TEST(IsPlainName, HoldsForPrintableAsciiWithoutSpaces) {
  EXPECT_TRUE(IsPlainName("blk.0.attn_q.weight"));
  EXPECT_FALSE(IsPlainName(""));
  EXPECT_FALSE(IsPlainName("two words"));
  EXPECT_FALSE(IsPlainName("line\n"));
  EXPECT_FALSE(IsPlainName("caf\xc3\xa9"));
}

}  // namespace
}  // namespace mortar
