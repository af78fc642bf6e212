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

}  // namespace mortar
