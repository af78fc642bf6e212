// SHA-256 as a value: the name of a brick's bytes.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace mortar {

struct Digest {
  std::array<uint8_t, 32> bytes{};
  auto operator<=>(const Digest&) const = default;
};

// 64 lower-case hexadecimal digits.
inline std::string ToHex(const Digest& digest) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : digest.bytes) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

}  // namespace mortar
