// Sizes as people write them: 8G.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace mortar {

// More than any one machine has.
inline constexpr uint64_t kByteSizeMax = uint64_t{1} << 50;

// "8G" as 8 x 2^30: a number, with a fraction or without, and K, M, G or T, or nothing for bytes;
// at most kByteSizeMax. `where` says who gave it and begins the error.
absl::StatusOr<uint64_t> ParseByteSize(std::string_view text, const std::string& where);

}  // namespace mortar
