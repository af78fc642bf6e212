#include "tests/integration/cli_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace mortar {
namespace {

struct Pipe {
  int read_end = -1;
  int write_end = -1;
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    read_end = ends[0];
    write_end = ends[1];
  }
  void CloseRead() { Close(read_end); }
  void CloseWrite() { Close(write_end); }
  void Fill() const {
    EXPECT_EQ(fcntl(write_end, F_SETFL, O_NONBLOCK), 0);
    const std::string page(4096, 'x');
    while (write(write_end, page.data(), page.size()) > 0) {
    }
    EXPECT_EQ(fcntl(write_end, F_SETFL, 0), 0);
  }
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }

 private:
  static void Close(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
};

// In the child, between fork and exec.
[[noreturn]] void Become(const ProgramRun& run, int in, int out, int err) {
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  std::vector<std::string> texts;
  for (const char* kept :
       {"HOME", "PATH", "XDG_CACHE_HOME", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"}) {
    const char* value = std::getenv(kept);
    if (value != nullptr && !run.environment.contains(kept)) {
      texts.push_back(std::string(kept) + "=" + value);
    }
  }
  for (const auto& [name, value] : run.environment) texts.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (std::string& text : texts) environment.push_back(text.data());
  environment.push_back(nullptr);
  std::vector<std::string> words = run.under;
  words.push_back(MORTAR_BINARY);
  words.insert(words.end(), run.arguments.begin(), run.arguments.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execvpe(arguments[0], arguments.data(), environment.data());
  _exit(127);
}

int ExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Reads both pipes to their ends. False when the time ran out.
bool Collect(const ProgramRun& run, pid_t child, Pipe& out, const Pipe& err,
             ProgramResult& result) {
  const auto start = std::chrono::steady_clock::now();
  const auto deadline = start + run.time_out;
  std::array<pollfd, 2> ends = {pollfd{out.read_end, POLLIN, 0}, pollfd{err.read_end, POLLIN, 0}};
  bool interrupted = run.interrupt_after_bytes < 0;
  if (run.stalled_reader) {
    // Time enough for the program to start and to meet the full pipe, ten times over.
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    kill(child, SIGINT);
    ends[0].fd = -1;
  }
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    poll(ends.data(), ends.size(), 100);
    for (pollfd& end : ends) {
      if (end.fd < 0 || end.revents == 0) continue;
      std::array<char, 1 << 16> buffer;
      const ssize_t n = read(end.fd, buffer.data(), buffer.size());
      if (n <= 0) {
        end.fd = -1;
        continue;
      }
      if (end.fd == out.read_end && result.out.empty()) {
        result.first_byte = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - start);
      }
      std::string& text = end.fd == out.read_end ? result.out : result.err;
      text.append(buffer.data(), static_cast<size_t>(n));
    }
    if (run.close_after_bytes >= 0 && ends[0].fd >= 0 &&
        result.out.size() >= static_cast<size_t>(run.close_after_bytes)) {
      out.CloseRead();
      ends[0].fd = -1;
    }
    if (!interrupted && result.out.size() >= static_cast<size_t>(run.interrupt_after_bytes)) {
      interrupted = true;
      kill(child, SIGINT);
    }
  }
  return true;
}

}  // namespace

nlohmann::json ProgramResult::Json() const {
  nlohmann::json json = nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(json.is_discarded()) << "not one JSON value: " << out << "\nstderr: " << err;
  return json.is_discarded() ? nlohmann::json() : json;
}

ProgramResult RunMortar(const ProgramRun& run) {
  // Input comes from a file without a name, so that the program cannot wait for the test.
  std::FILE* input = std::tmpfile();
  EXPECT_NE(input, nullptr);
  EXPECT_EQ(std::fwrite(run.input.data(), 1, run.input.size(), input), run.input.size());
  std::rewind(input);
  Pipe out;
  Pipe err;
  if (run.stalled_reader) out.Fill();
  const pid_t child = fork();
  EXPECT_GE(child, 0);
  if (child == 0) Become(run, fileno(input), out.write_end, err.write_end);
  std::fclose(input);
  out.CloseWrite();
  err.CloseWrite();

  ProgramResult result;
  const bool in_time = Collect(run, child, out, err, result);
  EXPECT_TRUE(in_time) << "the program did not end";
  if (!in_time) kill(child, SIGKILL);
  int status = 0;
  rusage used{};
  EXPECT_EQ(wait4(child, &status, 0, &used), child);
  result.resident_bytes_max = int64_t{used.ru_maxrss} * 1024;
  result.exit_code = ExitCode(status);
  return result;
}

ProgramResult RunMortar(const std::vector<std::string>& arguments) {
  return RunMortar(ProgramRun{.arguments = arguments});
}

std::vector<int> BytesOfATokenByHop(const nlohmann::json& one, const nlohmann::json& more, int n) {
  std::vector<int> bytes_of_a_token;
  EXPECT_EQ(one.size(), more.size());
  for (size_t i = 0; i < std::min(one.size(), more.size()); ++i) {
    SCOPED_TRACE(more[i].dump());
    EXPECT_EQ(more[i]["messages"].get<int>() - one[i]["messages"].get<int>(), n);
    const int bytes = more[i]["bytes"].get<int>() - one[i]["bytes"].get<int>();
    EXPECT_EQ(bytes % n, 0);
    bytes_of_a_token.push_back(bytes / n);
  }
  return bytes_of_a_token;
}

void ExpectOneLineError(const ProgramResult& result, int exit_code, const std::string& part) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("mortar: ")) << result.err;
  EXPECT_TRUE(result.err.ends_with("\n")) << result.err;
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << result.err << "lacks: " << part;
}

TestFolder::TestFolder() {
  std::string name = testing::TempDir() + "mortar_XXXXXX";
  EXPECT_NE(mkdtemp(name.data()), nullptr);
  path_ = name;
}

TestFolder::~TestFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TestFolder::Write(const std::string& name, const std::string& bytes) const {
  const std::string path = Path(name);
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  EXPECT_TRUE(file.good()) << path;
  return path;
}

}  // namespace mortar
