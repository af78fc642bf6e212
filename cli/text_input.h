// Text from outside: files and standard input, bounded.
#pragma once

#include <cstddef>
#include <string>

#include "common/status.h"

namespace mortar {

// More text than any run here can work through; a larger file is a mistake.
inline constexpr size_t kTextBytesMax = 64 << 20;

// The bytes of a file. NotFound, FailedPrecondition (a folder) or ResourceExhausted, naming it.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t bytes_max);
// All of standard input.
absl::StatusOr<std::string> ReadStandardInput(size_t bytes_max);

}  // namespace mortar
