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
// The same of a file on which others depend: FailedPrecondition with `advice` when its mode has one
// of the bits of `forbidden`. Looked at is the file that is read.
absl::StatusOr<std::string> ReadGuardedFile(const std::string& path, size_t bytes_max,
                                            unsigned forbidden, const std::string& advice);
// All of standard input.
absl::StatusOr<std::string> ReadStandardInput(size_t bytes_max);

}  // namespace mortar
