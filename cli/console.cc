#include "cli/console.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace mortar {
namespace {

constexpr char kUsagePayload[] = "mortar/usage";

// The one piece of state that a signal handler may touch.
volatile std::sig_atomic_t signal_received = 0;

void OnSignal(int number) { signal_received = number; }

void WriteToStderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // nowhere left to complain
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// Returns when standard output takes PIPE_BUF bytes without blocking, or has an error for write to
// name. A reader may take its time, so only a signal ends the wait; it is looked for again and
// again, because one that came just before poll does not interrupt it.
absl::Status WaitForReader() {
  constexpr int kLookMilliseconds = 50;
  while (true) {
    pollfd out{STDOUT_FILENO, POLLOUT, 0};
    const int ready = poll(&out, 1, kLookMilliseconds);
    if (ready > 0 || (ready < 0 && errno != EINTR)) return absl::OkStatus();
    RETURN_IF_ERROR(CheckInterrupted());
  }
}

}  // namespace

absl::Status UsageError(const std::string& message) {
  absl::Status status = InvalidArgument(message);
  status.SetPayload(kUsagePayload, absl::Cord());
  return status;
}

bool IsUsageError(const absl::Status& status) {
  return status.GetPayload(kUsagePayload).has_value();
}

Console::Console() {
  stderr_is_terminal_ = isatty(STDERR_FILENO) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::strcmp(terminal, "dumb") == 0;
  colour_ = stderr_is_terminal_ && !dumb && (no_colour == nullptr || *no_colour == '\0');
}

absl::Status Console::Write(std::string_view text) {
  while (!text.empty()) {
    RETURN_IF_ERROR(WaitForReader());
    const ssize_t n = write(STDOUT_FILENO, text.data(), std::min<size_t>(text.size(), PIPE_BUF));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
      RETURN_IF_ERROR(CheckInterrupted());
      continue;
    }
    if (n < 0 && errno == EPIPE) {
      pipe_broken_ = true;
      return Cancelled("standard output was closed by its reader");
    }
    if (n < 0) return ErrnoStatus(errno, "write to standard output");
    text.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

void Console::Note(std::string_view line) {
  Progress("");
  WriteToStderr(std::string(line) + "\n");
}

void Console::Progress(std::string_view line) {
  if (!stderr_is_terminal_ || (line.empty() && !progress_shown_)) return;
  progress_shown_ = !line.empty();
  WriteToStderr("\r\x1b[K" + std::string(line));
}

std::string Console::Dim(std::string_view text) const {
  return colour_ ? "\x1b[2m" + std::string(text) + "\x1b[0m" : std::string(text);
}

int Console::Finish(const absl::Status& status) {
  Progress("");
  if (pipe_broken_) return 128 + SIGPIPE;
  if (InterruptSignal() != 0) return 128 + InterruptSignal();
  if (status.ok()) return kExitDone;
  Note("mortar: " + OneLine(Message(status)));
  return IsUsageError(status) ? kExitUsage : kExitFailed;
}

void InstallSignalHandlers() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one ends the program
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file over its limit is a failed write
}

int InterruptSignal() { return signal_received; }

absl::Status CheckInterrupted() {
  return InterruptSignal() == 0 ? absl::OkStatus() : Cancelled("interrupted");
}

std::string OneLine(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      line += c;
    } else {
      line += "\\x";
      line += kHex[byte >> 4];
      line += kHex[byte & 15];
    }
  }
  return line;
}

}  // namespace mortar
