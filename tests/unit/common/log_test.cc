// Goal: a log line can be read by people and programs, and a value cannot forge one.
#include "common/log.h"

#include <gtest/gtest.h>

#include <limits>

namespace mortar {
namespace {

TEST(Log, TextLineHoldsEventAndFields) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, LogLevel::kInfo, "worker ready",
                          {{"layers", "2-28"}, {"bytes", 12}, {"tied", true}}),
            "info: worker ready layers=2-28 bytes=12 tied=true");
}

TEST(Log, JsonLineQuotesStringsAlone) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, LogLevel::kError, "x", {{"a", "b"}, {"n", 3}}),
            R"({"level":"error","event":"x","a":"b","n":3})");
}

TEST(Log, ValuesCannotForgeALine) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, LogLevel::kInfo, "e", {{"k", "a\nerror: b=\"c\""}}),
            "info: e k=\"a\\u000aerror: b=\\\"c\\\"\"");
}

TEST(Log, EveryControlByteOfAValueIsEscaped) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string value = {'a', static_cast<char>(byte)};
    const std::string line = FormatLogLine(LogFormat::kText, LogLevel::kInfo, "e", {{"k", value}});
    const bool plain = byte > 0x20 && byte != 0x7f && byte != '=' && byte != '"' && byte != '\\';
    EXPECT_EQ(line == "info: e k=" + value, plain) << byte;
    if (byte < 0x20 || byte == 0x7f) {
      EXPECT_EQ(line.find(static_cast<char>(byte)), line.npos) << byte;
    }
  }
}

TEST(Log, JsonHasNoWordForWhatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, LogLevel::kInfo, "e",
                          {{"a", nan}, {"b", inf}, {"c", -inf}, {"d", 1.5}}),
            R"({"level":"info","event":"e","a":null,"b":null,"c":null,"d":1.500000})");
  EXPECT_EQ(FormatLogLine(LogFormat::kText, LogLevel::kInfo, "e", {{"b", inf}}), "info: e b=inf");
}

}  // namespace
}  // namespace mortar
