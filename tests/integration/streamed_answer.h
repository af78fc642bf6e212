// An edge's answer as its reader sees it come: each route and token with the moment at which it was
// read.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/node_program.h"

namespace mortar {

class StreamedAnswer {
 public:
  using Moment = std::chrono::steady_clock::time_point;
  struct Token {
    int token = 0;
    Moment at;
  };
  struct Route {
    std::vector<std::string> workers;  // names, in their order
    Moment at;
  };

  // Starts `mortar ARGUMENTS`, which hold --json --json-events. The answer is given up `longest`
  // after that, and the test fails.
  StreamedAnswer(const std::vector<std::string>& arguments, std::chrono::seconds longest);
  ~StreamedAnswer();
  StreamedAnswer(const StreamedAnswer&) = delete;
  StreamedAnswer& operator=(const StreamedAnswer&) = delete;

  // Reads what comes until `enough()`, which is asked every millisecond. False: the answer is over.
  bool ReadUntil(const std::function<bool()>& enough);
  // Reads all that is left; the exit code, as a shell shows it.
  int Finish();

  const std::vector<Token>& tokens() const { return tokens_; }
  const std::vector<Route>& routes() const { return routes_; }
  const nlohmann::json& report() const { return report_; }  // null before the end
  std::string Errors() const { return program_->Errors(); }

 private:
  void TakeLine(const std::string& line);

  const Moment deadline_;
  int out_ = -1;  // of its stdout; -1: it has ended
  std::optional<NodeProgram> program_;
  std::string rest_;  // of a line that has not ended
  std::vector<Token> tokens_;
  std::vector<Route> routes_;
  nlohmann::json report_;
};

}  // namespace mortar
