// The one table of arrows between folders, and of the homes of third-party headers.
#include "tests/structure/structure.h"

namespace mortar {

Rules HouseRules() {
  const std::set<std::string> engine = {"engine/kernels", "engine/gguf",  "engine/text",
                                        "engine/model",   "engine/brick", "engine/batch"};
  std::set<std::string> role = engine;
  role.insert({"protocol", "common"});
  std::set<std::string> all = role;
  all.insert({"coordinator", "worker", "edge", "engine/hf", "engine/quantize"});

  Rules rules;
  rules.folders = {
      {"common", {}},
      {"engine/kernels", {"common"}},
      {"engine/gguf", {"common"}},
      {"engine/text", {"engine/gguf", "common"}},
      {"engine/model", {"engine/kernels", "engine/gguf", "common"}},
      {"engine/quantize", {"engine/gguf", "common"}},
      {"engine/hf",
       {"engine/quantize", "engine/model", "engine/text", "engine/kernels", "engine/gguf",
        "common"}},
      {"engine/brick", {"engine/gguf", "engine/model", "common"}},
      {"engine/batch", {"engine/model", "engine/brick", "engine/kernels", "engine/gguf", "common"}},
      {"protocol", {"common"}},
      // Bricks as values alone: their names, kinds and bytes.
      {"coordinator", {"protocol", "engine/brick", "common"}},
      {"worker", role},
      {"edge", role},
      {"cli", all},
  };
  rules.homes = {
      {"zmq", {"protocol"}},
      {"mpi.h", {"protocol"}},
      {"capnp/", {"protocol"}},
      {"kj/", {"protocol"}},
      {"protocol/schema/", {"protocol"}},
      {"boost/", {"common"}},
      {"spdlog/", {"common"}},
      {"fmt/", {"common"}},
      {"pcre2", {"engine/text"}},
      {"openssl/", {"engine/brick"}},
      {"immintrin.h", {"engine/kernels"}},
      {"arm_neon.h", {"engine/kernels"}},
      {"cuda", {"engine/kernels"}},
      {"CLI/", {"cli"}},
      {"toml++/", {"cli"}},
      {"sodium", {"protocol"}},
  };
  return rules;
}

}  // namespace mortar
