// The configuration file: TOML, one key for each flag. Home of toml++.
#pragma once

#include <string>
#include <vector>

#include "cli/flags.h"
#include "common/status.h"

namespace mortar {

struct ConfigEntry {
  std::string key;
  FlagValue value;
  int line = 0;
};

// The file's top-level keys in their order in the file. Every error names the file, and the line
// where there is one: a file that cannot be read, is larger than 1 MiB, is not TOML, or holds a
// value that no flag can have (a table, a date, a mixed array).
absl::StatusOr<std::vector<ConfigEntry>> ReadConfigFile(const std::string& path);

}  // namespace mortar
