#include "cli/byte_size.h"

#include <charconv>
#include <cmath>

namespace mortar {

absl::StatusOr<uint64_t> ParseByteSize(std::string_view text, const std::string& where) {
  constexpr std::string_view kUnits = "KMGT";
  std::string_view number = text;
  double unit = 1;
  if (!number.empty()) {
    const size_t power = kUnits.find(number.back());
    if (power != std::string_view::npos) {
      unit = std::exp2(10.0 * static_cast<double>(power + 1));
      number.remove_suffix(1);
    }
  }
  double value = -1;
  const char* end = number.data() + number.size();
  const auto read = std::from_chars(number.data(), end, value, std::chars_format::fixed);
  const double bytes = value * unit;
  // The comparison is false for what is no number, too.
  const bool fits = bytes >= 1 && bytes <= static_cast<double>(kByteSizeMax);
  if (read.ec == std::errc() && read.ptr == end && fits) return static_cast<uint64_t>(bytes);
  return InvalidArgument(where + ": \"" + std::string(text) +
                         "\" is no size from 1 to 1024T; give bytes, or a number with K, M, G or "
                         "T, such as 8G");
}

}  // namespace mortar
