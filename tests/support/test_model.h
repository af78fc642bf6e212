// Where tests find the default model.
#pragma once

#include <string>

namespace mortar {

// The path of SmolLM2-135M-Instruct.Q4_1.gguf: the environment's MORTAR_TEST_MODEL, else the
// models folder of the cache. When no file is there, the running test fails with a line that says
// how to get it (a missing model is never a reason to skip); the path is returned all the same.
std::string TestModelPath();

}  // namespace mortar
