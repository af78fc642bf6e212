// Goal: a cluster with two coordinators answers while either of them is killed, stands still or
// comes back, with the tokens of one process, and its workers keep their layers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/cluster_programs.h"
#include "tests/integration/streamed_answer.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr int kTokens = 96;
// The longest of all stated times, a route that nobody can give, and the program's own start.
constexpr seconds kAnswerMax{45};

std::string EndpointIn(const std::string& line) {
  const size_t at = line.find("tcp://");
  return line.substr(at, line.find(',', at) - at);
}

class TwoCoordinatorsTest : public ClusterTest {
 protected:
  // The index-th, from 1.
  std::unique_ptr<NodeProgram> Coordinator(int index,
                                           const std::string& listen = "tcp://127.0.0.1:0") {
    auto program = std::make_unique<NodeProgram>(
        Arguments{"coordinator", "--listen", listen, "--workers", "2", "--place", "even",
                  "--log-level", "debug", "--index", std::to_string(index)});
    program->Line(" at tcp://");
    return program;
  }
  void StartBothAndWorkers(const Arguments& flags = {}) {
    first_ = Coordinator(1);
    second_ = Coordinator(2);
    both_ = {"--coordinator", EndpointIn(first_->Line(" at tcp://")), "--coordinator",
             EndpointIn(second_->Line(" at tcp://"))};
    for (int i = 0; i < 2; ++i) {
      workers_.push_back(
          std::make_unique<NodeProgram>(Arguments{"worker", "-m", TestModelPath(), "-t", "1", "-c",
                                                  "2048", "--log-level", "info"} +
                                        both_ + flags));
      workers_.back()->Line("joined");
    }
  }
  void TearDown() override {
    if (!HasFailure()) return;
    for (NodeProgram* node : {first_.get(), second_.get()}) {
      if (node != nullptr) std::fprintf(stderr, "--- coordinator\n%s", node->Errors().c_str());
    }
    for (const auto& worker : workers_) {
      std::fprintf(stderr, "--- worker\n%s", worker->Errors().c_str());
    }
  }
  Arguments Asking(int n, const Arguments& flags = {}) {
    return Arguments{"edge"} + both_ + Ask(kPrompt, n) + flags;
  }
  json Answer(int n) { return TokensOf(RunMortar(Asking(n))); }
  // An answer, amid which `what` happens.
  template <typename What>
  void ExpectWholeWhile(const json& expected, const What& what, const Arguments& flags = {}) {
    StreamedAnswer answer(Asking(kTokens, flags + Arguments{"--json-events"}), kAnswerMax);
    ASSERT_TRUE(answer.ReadUntil([&] { return answer.tokens().size() >= 16; })) << answer.Errors();
    what();
    EXPECT_EQ(answer.Finish(), 0) << answer.Errors();
    std::vector<int> came;
    for (const StreamedAnswer::Token& token : answer.tokens()) came.push_back(token.token);
    EXPECT_EQ(json(came), expected);
  }
  // How often workers took up layers.
  int Loads() {
    int loads = 0;
    for (const auto& worker : workers_) {
      const std::string said = worker->Errors();
      for (size_t at = said.find("loaded "); at != std::string::npos;
           at = said.find("loaded ", at + 1)) {
        ++loads;
      }
    }
    return loads;
  }

  std::unique_ptr<NodeProgram> first_, second_;
  Arguments both_;
};

TEST_F(TwoCoordinatorsTest, KillingTheFirstAmidAnAnswerBreaksNeitherThatNorTheNext) {
  const json expected = TokensOfOneProcess(kTokens);
  StartBothAndWorkers();
  EXPECT_EQ(Answer(kTokens), expected);
  const int loads = Loads();
  ExpectWholeWhile(expected, [&] { first_->Kill(); });
  EXPECT_EQ(Answer(kTokens), expected) << "granted by the second";
  EXPECT_THAT(second_->Errors(), HasSubstr("as the workers serve it already"));
  // It comes back amid an answer, under its endpoint, and knows nothing.
  ExpectWholeWhile(expected, [&] {
    first_ = Coordinator(1, both_[1]);
    for (const auto& worker : workers_) worker->Line("coordinator_back");
  });
  EXPECT_EQ(Answer(kTokens), expected);
  // And the second goes.
  ExpectWholeWhile(expected, [&] { second_->Kill(); });
  EXPECT_EQ(Answer(kTokens), expected) << "granted by the first again";
  EXPECT_EQ(Loads(), loads) << "no layers moved";
}

TEST_F(TwoCoordinatorsTest, RelayedAnswersSurviveItToo) {
  const json expected = TokensOfOneProcess(kTokens);
  StartBothAndWorkers({"--listen", "none"});
  EXPECT_EQ(Answer(kTokens), expected);
  ExpectWholeWhile(expected, [&] { first_->Kill(); });
  EXPECT_EQ(Answer(kTokens), expected);
}

TEST_F(TwoCoordinatorsTest, AFirstThatStandsStillIsNotWaitedFor) {
  const json expected = TokensOfOneProcess(8);
  StartBothAndWorkers();
  EXPECT_EQ(Answer(8), expected);
  ExpectWholeWhile(TokensOfOneProcess(kTokens), [&] { first_->Suspend(); });
  EXPECT_EQ(Answer(8), expected) << "of an edge that comes while it does";
  ASSERT_EQ(kill(first_->process(), SIGCONT), 0);
  EXPECT_EQ(Answer(8), expected);
}

TEST_F(TwoCoordinatorsTest, WithoutTheFirstFromTheBeginningTheSecondPlacesAndGrants) {
  StartBothAndWorkers();
  first_->Kill();
  // Those that loaded for the first keep it for a minute; these never heard of it.
  workers_.clear();
  for (int i = 0; i < 2; ++i) {
    workers_.push_back(std::make_unique<NodeProgram>(
        Arguments{"worker", "-m", TestModelPath(), "-t", "1", "-c", "2048", "--log-level", "info"} +
        both_));
  }
  EXPECT_EQ(Answer(8), TokensOfOneProcess(8));
  for (const auto& worker : workers_) worker->Line("obeys coordinator=\"coordinator 2\"");
}

TEST_F(TwoCoordinatorsTest, WhatIsWrongWithHowTheyAreNamedIsSaid) {
  StartBothAndWorkers();
  const Arguments swapped = {"--coordinator", both_[3], "--coordinator", both_[1]};
  ExpectOneLineError(RunMortar(Arguments{"edge"} + swapped + Ask(kPrompt, 4)), 1,
                     "in the order of their --index");
  ExpectOneLineError(RunMortar(Arguments{"edge", "--coordinator", both_[3]} + Ask(kPrompt, 4)), 1,
                     "this is coordinator 2, and not coordinator");
  ExpectOneLineError(RunMortar(Arguments{"edge"} + both_ + both_ + Ask(kPrompt, 4)), 2,
                     "a cluster has at most 2");
  ExpectOneLineError(
      RunMortar(Arguments{"edge", "--coordinator", both_[1], "--coordinator", both_[1]} +
                Ask(kPrompt, 4)),
      2, "is given twice");
  ExpectOneLineError(RunMortar({"coordinator", "--index", "3"}), 2, "index");
}

}  // namespace
}  // namespace mortar
