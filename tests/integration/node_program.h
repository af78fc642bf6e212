// A node as a program that stays: started, listened to, and ended in good and bad ways.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace mortar {

class NodeProgram {
 public:
  // Starts `mortar ARGUMENTS`, with stderr kept in a file without a name. `under`: the program that
  // runs it, with its flags; it is then what is ended and waited for. `out`: where its stdout goes;
  // -1: nowhere.
  explicit NodeProgram(const std::vector<std::string>& arguments,
                       const std::vector<std::string>& under = {}, int out = -1);
  ~NodeProgram();
  NodeProgram(const NodeProgram&) = delete;
  NodeProgram& operator=(const NodeProgram&) = delete;

  // The first line of stderr that holds `part`; the test fails when none came within 20 s.
  std::string Line(const std::string& part) const;
  std::string Errors() const;  // all of stderr so far

  // -9, and waits for its end. The test fails when it had ended by itself. The destructor does the
  // same with a node that nobody ended.
  void Kill();
  // Waits for it to end by itself; the exit code, as a shell shows it. The test fails when that
  // takes over 5 s.
  int End();
  int Stop();  // the same after SIGTERM
  bool Runs();
  pid_t process() const { return child_; }  // of `under`, where that runs it
  void Suspend();  // SIGSTOP: it stands still until it is killed, or continued by its process id

 private:
  int Wait(int options);

  pid_t child_ = -1;
  int exit_code_ = -1;
  std::FILE* errors_;
};

}  // namespace mortar
