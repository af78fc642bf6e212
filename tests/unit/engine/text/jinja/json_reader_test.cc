// Goal: JSON of a request becomes the values that Python's json.loads gives, all of it untrusted,
// and what is too large, too deep or no JSON is refused.
#include "engine/text/jinja/json_reader.h"

#include <gtest/gtest.h>

#include "engine/text/jinja/json.h"
#include "engine/text/jinja/limits.h"

namespace mortar::jinja {
namespace {

std::string Again(const std::string& json) {
  const auto value = ReadJson(json);
  EXPECT_TRUE(value.ok()) << value.status();
  return value.ok() ? ToJson(*value, {})->bytes() : "";
}

TEST(ReadJson, KeepsOrderAndKindsOfNumbers) {
  EXPECT_EQ(Again(R"({"b": [1, 1.0, -2, 1e3, true, null], "a": {"": "x"}})"),
            R"({"b": [1, 1.0, -2, 1000.0, true, null], "a": {"": "x"}})");
  EXPECT_EQ(Again("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(Again(R"({"a": 1, "b": 2, "a": 3})"), R"({"a": 3, "b": 2})");
  EXPECT_EQ(Again(R"("caf\u00e9 \ud83e\uddf1\n")"), "\"caf\u00e9 \U0001f9f1\\n\"");
}

TEST(ReadJson, TextsAndKeysAreUntrusted) {
  const auto value = ReadJson(R"({"key": "text"})");
  ASSERT_TRUE(value.ok());
  const auto& [key, text] = (*value->dict())[0];
  EXPECT_FALSE(key.runs()[0].trusted);
  EXPECT_FALSE(text.text()->runs()[0].trusted);
}

TEST(ReadJson, WhatIsNoJsonOrTooMuchIsRefused) {
  for (const char* const bad : {"", "{", "[1,]", "{'a': 1}", "\"\xFF\"", "[1] 2", "NaN"}) {
    EXPECT_EQ(ReadJson(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(ReadJson("18446744073709551615").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReadJson("123456789012345678901234").status().code(), absl::StatusCode::kOutOfRange);
  const std::string deep(100'000, '[');
  EXPECT_EQ(ReadJson(deep).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(ReadJson(std::string(kJsonNestingMax, '[') + std::string(kJsonNestingMax, ']')).ok());
  EXPECT_EQ(ReadJson(std::string(kJsonBytesMax + 1, ' ')).status().code(),
            absl::StatusCode::kResourceExhausted);
  std::string many = "[0";
  for (size_t i = 0; i < kListItemsMax; ++i) many += ",0";
  EXPECT_EQ(ReadJson(many + "]").status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace mortar::jinja
