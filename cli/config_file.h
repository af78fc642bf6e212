// TOML files as plain values: the configuration, one key for each flag, and files that are made of
// tables. Home of toml++.
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
// The same of a text that was read already; `path` is named in errors.
absl::StatusOr<std::vector<ConfigEntry>> ParseConfig(const std::string& text,
                                                     const std::string& path);

// A table at the top of a file, or one of an array of tables.
struct ConfigSection {
  std::string name;
  int line = 0;
  std::vector<ConfigEntry> entries;  // in their order in the file
};

// The tables of a TOML text in their order. Every error begins with `path` and the line: a text
// that is not TOML, a key outside any table, a value that is no string, number, truth value or
// array of strings or whole numbers. What tables and keys mean is the caller's to check.
absl::StatusOr<std::vector<ConfigSection>> ParseSections(const std::string& text,
                                                         const std::string& path);

}  // namespace mortar
