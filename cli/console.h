// The program's ends towards people and other programs: stdout for results, stderr for the rest,
// signals, and what an error becomes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"

namespace mortar {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// A mistake in how the program was called, known only inside a command: exit code 2.
absl::Status UsageError(const std::string& message);
bool IsUsageError(const absl::Status& status);

// Used by one thread.
class Console {
 public:
  // Reads NO_COLOR and TERM, and asks whether stderr is a terminal.
  Console();

  // Writes to stdout at once. Cancelled when nobody reads any more, or a signal came while it
  // waited for the reader, which end the program quietly; another error (a full disk) is reported.
  absl::Status Write(std::string_view text);
  // One line to stderr.
  void Note(std::string_view line);
  // A line on stderr that the next one overwrites; only on a terminal. Empty erases it.
  void Progress(std::string_view line);
  // The text dimmed, where colour is wanted.
  std::string Dim(std::string_view text) const;

  bool stderr_is_terminal() const { return stderr_is_terminal_; }

  // The exit code for a command's end, with one line on stderr for an error: 130 and 143 after
  // SIGINT and SIGTERM, 141 after a broken pipe.
  int Finish(const absl::Status& status);

 private:
  bool stderr_is_terminal_ = false;
  bool colour_ = false;
  bool pipe_broken_ = false;
  bool progress_shown_ = false;
};

// SIGINT and SIGTERM set a flag that long commands look at between steps; the same signal again
// ends the program at once. SIGPIPE becomes an error of write.
void InstallSignalHandlers();
// The signal that came, or 0.
int InterruptSignal();
// Cancelled when a signal came.
absl::Status CheckInterrupted();

// "text" on one line: control characters are written as \xNN.
std::string OneLine(std::string_view text);

}  // namespace mortar
