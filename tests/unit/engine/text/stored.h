// Reads the stored answers in tests/data/text.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace mortar {

inline nlohmann::json Stored(const std::string& name) {
  std::ifstream file(std::string(MORTAR_TEST_DATA) + "/text/" + name);
  nlohmann::json value = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(value.is_discarded()) << name << " is missing or no JSON";
  return value;
}

}  // namespace mortar
