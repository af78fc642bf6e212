#include "cli/text_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace mortar {
namespace {

absl::StatusOr<std::string> ReadAll(int descriptor, const std::string& what, size_t bytes_max) {
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (true) {
    const ssize_t n = read(descriptor, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) return Cancelled(what + ": interrupted");
    if (n < 0) return ErrnoStatus(errno, "read " + what);
    if (n == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(n));
    if (text.size() > bytes_max) {
      return ResourceExhausted(what + ": more than " + std::to_string(bytes_max) +
                               " bytes; give a shorter one");
    }
  }
}

}  // namespace

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t bytes_max) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoStatus(errno, "open " + path);
  absl::StatusOr<std::string> text = ReadAll(descriptor, path, bytes_max);
  close(descriptor);
  return text;
}

absl::StatusOr<std::string> ReadGuardedFile(const std::string& path, size_t bytes_max,
                                            unsigned forbidden, const std::string& advice) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoStatus(errno, "open " + path);
  struct stat status{};
  absl::StatusOr<std::string> text = FailedPrecondition(path + ": " + advice);
  if (fstat(descriptor, &status) != 0) {
    text = ErrnoStatus(errno, "open " + path);
  } else if ((status.st_mode & forbidden) == 0) {
    text = ReadAll(descriptor, path, bytes_max);
  }
  close(descriptor);
  return text;
}

absl::StatusOr<std::string> ReadStandardInput(size_t bytes_max) {
  return ReadAll(STDIN_FILENO, "standard input", bytes_max);
}

}  // namespace mortar
