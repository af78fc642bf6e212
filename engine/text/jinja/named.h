// Tables whose rows have a member `name`.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace mortar::jinja {

// The first row of this name; null when there is none.
template <typename T, size_t kN>
const T* FindNamed(const T (&table)[kN], std::string_view name) {
  const T* const found =
      std::find_if(table, table + kN, [name](const T& row) { return row.name == name; });
  return found == table + kN ? nullptr : found;
}

// All names in the table's order, neighbours of one name once: "a, b, c".
template <typename T, size_t kN>
std::string Names(const T (&table)[kN]) {
  std::string out;
  std::string_view last;
  for (const T& row : table) {
    if (row.name != last) out += (out.empty() ? "" : ", ") + std::string(row.name);
    last = row.name;
  }
  return out;
}

}  // namespace mortar::jinja
