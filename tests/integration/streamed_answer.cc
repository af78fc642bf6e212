#include "tests/integration/streamed_answer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

namespace mortar {

using nlohmann::json;

StreamedAnswer::StreamedAnswer(const std::vector<std::string>& arguments,
                               std::chrono::seconds longest)
    : deadline_(std::chrono::steady_clock::now() + longest), errors_(std::tmpfile()) {
  EXPECT_NE(errors_, nullptr);
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  std::vector<std::string> words = {MORTAR_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  child_ = fork();
  EXPECT_GE(child_, 0);
  if (child_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // gone with the test, however that ends
    dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    dup2(fileno(errors_), STDERR_FILENO);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  close(ends[1]);
  out_ = ends[0];
}

StreamedAnswer::~StreamedAnswer() {
  if (out_ >= 0) close(out_);
  if (child_ > 0) {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  std::fclose(errors_);
}

void StreamedAnswer::TakeLine(const std::string& line) {
  const Moment now = std::chrono::steady_clock::now();
  json event = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (event.is_discarded()) {
    ADD_FAILURE() << "not JSON: " << line;
  } else if (event.contains("tokens")) {
    report_ = std::move(event);
  } else if (event.contains("token")) {
    tokens_.push_back({event["token"].get<int>(), now});
  } else {
    Route route{.workers = {}, .at = now};
    for (const json& node : event["route"]) {
      if (node["role"] == "worker") route.workers.push_back(node["node"].get<std::string>());
    }
    routes_.push_back(std::move(route));
  }
}

bool StreamedAnswer::ReadUntil(const std::function<bool()>& enough) {
  while (out_ >= 0 && !enough()) {
    if (std::chrono::steady_clock::now() > deadline_) {
      ADD_FAILURE() << "the answer did not end; it said: " << Errors();
      kill(child_, SIGKILL);
    }
    pollfd end{out_, POLLIN, 0};
    if (poll(&end, 1, 1) <= 0) continue;
    std::array<char, 1 << 14> buffer;
    const ssize_t n = read(out_, buffer.data(), buffer.size());
    if (n <= 0) {
      close(out_);
      out_ = -1;
      break;
    }
    rest_.append(buffer.data(), static_cast<size_t>(n));
    for (size_t line; (line = rest_.find('\n')) != std::string::npos;) {
      TakeLine(rest_.substr(0, line));
      rest_.erase(0, line + 1);
    }
  }
  return out_ >= 0;
}

int StreamedAnswer::Finish() {
  ReadUntil([] { return false; });
  int status = 0;
  if (child_ < 0 || waitpid(child_, &status, 0) != child_) return -1;
  child_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string StreamedAnswer::Errors() const {
  std::string text;
  std::array<char, 4096> buffer;
  for (off_t at = 0;;) {
    const ssize_t n = pread(fileno(errors_), buffer.data(), buffer.size(), at);
    if (n <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(n));
    at += n;
  }
}

}  // namespace mortar
