#include "tests/integration/node_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

namespace mortar {
namespace {

constexpr std::chrono::milliseconds kLook{5};

}  // namespace

NodeProgram::NodeProgram(const std::vector<std::string>& arguments,
                         const std::vector<std::string>& under, int out)
    : errors_(std::tmpfile()) {
  EXPECT_NE(errors_, nullptr);
  std::vector<std::string> words = under;
  words.push_back(MORTAR_BINARY);
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  child_ = fork();
  EXPECT_GE(child_, 0);
  if (child_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // gone with the test, however that ends
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  dup2(out < 0 ? nothing : out, STDOUT_FILENO);
  dup2(fileno(errors_), STDERR_FILENO);
  execvp(pointers[0], pointers.data());
  _exit(127);
}

NodeProgram::~NodeProgram() {
  if (exit_code_ < 0) Kill();
  std::fclose(errors_);
}

std::string NodeProgram::Errors() const {
  std::string text;
  std::array<char, 4096> buffer;
  for (off_t at = 0;;) {
    const ssize_t n = pread(fileno(errors_), buffer.data(), buffer.size(), at);
    if (n <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(n));
    at += n;
  }
}

std::string NodeProgram::Line(const std::string& part) const {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::seconds(20)) {
    const std::string text = Errors();
    const size_t at = text.find(part);
    const size_t end = at == std::string::npos ? at : text.find('\n', at);
    if (end != std::string::npos) {
      const size_t newline = text.rfind('\n', at);
      const size_t begin = newline == std::string::npos ? 0 : newline + 1;
      return text.substr(begin, end - begin);
    }
    std::this_thread::sleep_for(kLook);
  }
  ADD_FAILURE() << "no line with \"" << part << "\"; it said: " << Errors();
  return "";
}

int NodeProgram::Wait(int options) {
  int status = 0;
  if (exit_code_ >= 0) return exit_code_;
  if (waitpid(child_, &status, options) != child_) return -1;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

void NodeProgram::Kill() {
  if (!Runs()) {
    ADD_FAILURE() << "it had ended by itself with " << exit_code_ << ": " << Errors();
    return;
  }
  kill(child_, SIGKILL);
  Wait(0);
}

int NodeProgram::End() {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::seconds(5)) {
    if (Wait(WNOHANG) >= 0) return exit_code_;
    std::this_thread::sleep_for(kLook);
  }
  ADD_FAILURE() << "it did not end within 5 s";
  Kill();
  return exit_code_;
}

int NodeProgram::Stop() {
  kill(child_, SIGTERM);
  return End();
}

void NodeProgram::Suspend() { EXPECT_EQ(kill(child_, SIGSTOP), 0); }

bool NodeProgram::Runs() { return Wait(WNOHANG) < 0; }

}  // namespace mortar
