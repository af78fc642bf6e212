#include "tests/support/test_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace mortar {
namespace {

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string Find() {
  const std::string given = Environment("MORTAR_TEST_MODEL");
  if (!given.empty()) return given;
  std::string cache = Environment("XDG_CACHE_HOME");
  if (cache.empty()) cache = Environment("HOME") + "/.cache";
  return cache + "/mortar/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

}  // namespace

std::string TestModelPath() {
  const std::string path = Find();
  if (access(path.c_str(), R_OK) != 0) {
    ADD_FAILURE() << "the test model is not at " << path
                  << ": `./dev test` gets it; or set MORTAR_TEST_MODEL to its path";
  }
  return path;
}

}  // namespace mortar
