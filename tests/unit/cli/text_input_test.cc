// Goal: text from outside is read whole or refused: no file is too odd to be named in an error.
#include "cli/text_input.h"

#include <gtest/gtest.h>

namespace mortar {
namespace {

TEST(ReadWholeFile, NamesWhatItCannotRead) {
  const auto missing = ReadWholeFile("/nonexistent/file", 10);
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(Message(missing.status()).find("/nonexistent/file"), std::string::npos);
  EXPECT_FALSE(ReadWholeFile("/", 10).ok());
}

TEST(ReadWholeFile, StopsAtItsBound) {
  const auto endless = ReadWholeFile("/dev/zero", 1 << 20);
  ASSERT_FALSE(endless.ok());
  EXPECT_EQ(endless.status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace mortar
