// A cluster of programs on loopback: coordinator, workers and edges, as people start them.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/integration/cli_process.h"
#include "tests/integration/node_program.h"

namespace mortar {

inline constexpr char kPrompt[] =
    "Once upon a time there was a small village by the sea. Every morning";

using Arguments = std::vector<std::string>;
Arguments operator+(Arguments a, const Arguments& b);

// What `run` and `edge` are asked with: greedy, one thread, JSON.
Arguments Ask(const std::string& prompt, int n);

nlohmann::json TokensOfOneProcess(int n, const std::string& prompt = kPrompt);

// Ends a node and reads what it then says of the messages that it forwarded. It was started with
// --log-level info.
int ForwardedBy(NodeProgram& node);

// From "worker HOST-PID joined": a node's name ends with its process.
pid_t ProcessOf(const NodeProgram& worker);

// Of an answer with --json that must have come.
nlohmann::json TokensOf(const ProgramResult& result);

// An edge that answers while the test goes on. The cluster outlives it.
class BackgroundAnswer {
 public:
  explicit BackgroundAnswer(ProgramRun run)
      : thread_([this, run = std::move(run)] {
          tokens_ = TokensOf(RunMortar(run));
          done_ = true;
        }) {}
  ~BackgroundAnswer() {
    if (thread_.joinable()) thread_.join();
  }
  bool done() const { return done_; }
  const nlohmann::json& Tokens() {  // waits for them
    thread_.join();
    return tokens_;
  }

 private:
  nlohmann::json tokens_;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

class ClusterTest : public testing::Test {
 protected:
  void StartCoordinator(int workers, const std::string& listen = "tcp://127.0.0.1:0",
                        const Arguments& flags = {});
  NodeProgram& StartWorker(const Arguments& flags = {});
  void StartCluster(int workers, const Arguments& flags = {});
  void TearDown() override;  // shows what all nodes said when the test failed
  ProgramRun EdgeRun(const Arguments& arguments);
  ProgramResult Edge(const Arguments& arguments);
  nlohmann::json Tokens(int n, const Arguments& flags = {});
  // The same in the background; returns when it has begun. Needs: it is the first that this
  // coordinator routes, and n is so large that it goes on for a while.
  std::unique_ptr<BackgroundAnswer> BeginAnswer(int n, const Arguments& flags = {});

  std::unique_ptr<NodeProgram> coordinator_;
  std::vector<std::unique_ptr<NodeProgram>> workers_;
  std::string endpoint_;
};

}  // namespace mortar
