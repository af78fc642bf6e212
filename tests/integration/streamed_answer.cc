#include "tests/integration/streamed_answer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>

namespace mortar {

using nlohmann::json;

StreamedAnswer::StreamedAnswer(const std::vector<std::string>& arguments,
                               std::chrono::seconds longest)
    : deadline_(std::chrono::steady_clock::now() + longest) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  out_ = ends[0];
  program_.emplace(arguments, std::vector<std::string>{}, ends[1]);
  close(ends[1]);
}

StreamedAnswer::~StreamedAnswer() {
  if (program_->Runs()) program_->Kill();  // nobody waited for it
  if (out_ >= 0) close(out_);
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
      kill(program_->process(), SIGKILL);
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
  return program_->End();
}

}  // namespace mortar
