// Runs the real program as a person or a script would, and keeps what it said.
#pragma once

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/sanitized.h"

namespace mortar {

struct ProgramRun {
  std::vector<std::string> arguments{};
  std::vector<std::string> under{};                  // the program that runs it, with its flags
  std::map<std::string, std::string> environment{};  // beside HOME and PATH, which are kept
  std::string input{};                               // of standard input; empty: /dev/null
  int interrupt_after_bytes = -1;  // SIGINT once so many bytes of stdout came; -1: never
  int close_after_bytes = -1;      // nobody reads stdout any more after that; -1: to its end
  bool stalled_reader = false;     // stdout is a full pipe that nobody reads; SIGINT comes soon
  std::chrono::seconds time_out{kSanitized ? 480 : 120};  // killed after that, and the test fails
};

struct ProgramResult {
  int exit_code = -1;  // 128 + n after signal n
  std::string out;
  std::string err;
  std::chrono::milliseconds first_byte{-1};  // of stdout, since fork; -1: there was none
  int64_t resident_bytes_max = 0;

  // stdout as one JSON value; a failure of the test and null when it is not, or when more
  // follows.
  nlohmann::json Json() const;
};

ProgramResult RunMortar(const ProgramRun& run);
ProgramResult RunMortar(const std::vector<std::string>& arguments);

// Fails the test unless the program ended with `exit_code`, said nothing on stdout, and said one
// line that starts with "mortar: " and holds `part`.
void ExpectOneLineError(const ProgramResult& result, int exit_code, const std::string& part);

// What each token after the first cost each hop: of `wire.hops` of two answers to one prompt, of
// one token and of n + 1. The test fails unless it was one message, of one size.
std::vector<int> BytesOfATokenByHop(const nlohmann::json& one, const nlohmann::json& more, int n);

// A folder for one test's files; gone with the object.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& bytes) const;  // its path

 private:
  std::string path_;
};

}  // namespace mortar
