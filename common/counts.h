// What a process counts, as one table of names and values: whoever shows figures (a line of the log
// today) shows all of them, and knows no struct of any role.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mortar {

struct Count {
  const char* name;  // a fixed string, as in a line of the log
  uint64_t value = 0;
};
using Counts = std::vector<Count>;

inline Counts Joined(Counts a, const Counts& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline uint64_t Total(const Counts& counts) {
  uint64_t total = 0;
  for (const Count& count : counts) total += count.value;
  return total;
}
// "name=value name=value", without those that are zero.
inline std::string ToText(const Counts& counts) {
  std::string text;
  for (const Count& count : counts) {
    if (count.value == 0) continue;
    text += (text.empty() ? "" : " ") + std::string(count.name) + "=" + std::to_string(count.value);
  }
  return text;
}

}  // namespace mortar
