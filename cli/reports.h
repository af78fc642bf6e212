// What each command found out, as values: the same for people and for --json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/layer_range.h"

namespace mortar {

struct VersionReport {
  std::string version;
  std::string contract;  // id of the numeric contract (docs/numerics.md)
};

struct TokenPiece {
  int32_t id = 0;
  std::string bytes;  // what it stands for: part of a character, at times
};

struct TokenizeReport {
  std::vector<TokenPiece> tokens;
};

struct BenchResult {
  std::string test;               // "pp512", "tg128", "tg128@16"
  double tok_s = 0;               // mean over the repetitions
  double stddev = 0;              // of tok_s
  double gb_s = 0;                // 10^9 bytes of weights and KV read per second
  double bandwidth_fraction = 0;  // gb_s over the measured bandwidth
};

struct BenchReport {
  std::string model;
  std::string isa;
  int threads = 0;
  double bandwidth_gb_s = 0;  // measured in the same run
  std::vector<BenchResult> results;
};

}  // namespace mortar
