// What several writers of files need.
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"

namespace mortar {

// All of `text`, whatever a signal interrupts. The error names `path`.
absl::Status WriteAll(int fd, std::string_view text, const std::string& path);

// Replaces a file whole: readers see the old text or the new one. A crash may leave the new name
// with lost bytes: for texts that have a check of their own. The error names `path`.
absl::Status ReplaceFile(const std::string& path, std::string_view text);

// With those before it, as far as they are not there.
absl::Status MakeFolder(const std::string& folder);

}  // namespace mortar
