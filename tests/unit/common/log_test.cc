// Goal: a log line can be read by people and programs, and a value cannot forge one.
#include "common/log.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace mortar
