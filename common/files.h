// What several writers of files need.
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"

namespace mortar {

// All of `text`, whatever a signal interrupts. The error names `path`.
absl::Status WriteAll(int fd, std::string_view text, const std::string& path);

// With those before it, as far as they are not there.
absl::Status MakeFolder(const std::string& folder);

}  // namespace mortar
