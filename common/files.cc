#include "common/files.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace mortar {

absl::Status WriteAll(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) return ErrnoStatus(errno, "write " + path);
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status MakeFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), folder + ": cannot make this folder");
  return absl::OkStatus();
}

}  // namespace mortar
