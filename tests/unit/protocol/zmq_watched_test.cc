// Goal: where sessions wait, silence is found within a second, and nobody is missed who only had
// nothing to say, or whom this node did not look for.
#include <chrono>
#include <thread>

#include "tests/unit/protocol/zmq_nodes.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Nodes with a clock that the test moves, so that silence has its exact length.
class StillLinks : public ZmqLinks {
 protected:
  void StartStill(Node& node, ZmqOptions options) {
    auto transport = ZmqTransport::Create(std::move(options), {still_, log_, pool_});
    ASSERT_TRUE(transport.ok()) << transport.status();
    node.transport = *std::move(transport);
  }
  static void PollAll(Node& node) {
    while (auto incoming = node.transport->Poll()) node.got.push_back(*std::move(incoming));
  }

  ManualClock still_;
};

// Of two nodes.
class WatchedLinks : public StillLinks {
 protected:
  WatchedLinks() {
    StartStill(a_, {.self = kA, .card = Card("a")});
    StartStill(b_, {.self = kB, .card = Card("b"), .listen = kLoopback});
    a_.transport->Introduce({kB, b_.transport->endpoint()});
    EXPECT_TRUE(Until({&a_, &b_}, [&] { return a_.transport->IsDirect(kB); }));
    b_.got.clear();
  }
  void FrameCrosses() {
    b_.got.clear();
    ASSERT_TRUE(a_.transport->Send(kB, Frame(1)).ok());
    ASSERT_TRUE(Until({&a_, &b_}, [&] { return b_.Got<Activation>(kA) != nullptr; }));
  }
  // A's loop turns for so long, every 50 ms, B's stands still.
  void OnlyATurns(Duration time) {
    for (const Time end = still_.Now() + time; still_.Now() < end;) {
      still_.Advance(milliseconds(50));
      PollAll(a_);
    }
  }
  void BothTurn(Duration time) {
    for (const Time end = still_.Now() + time; still_.Now() < end;) {
      still_.Advance(milliseconds(50));
      for (Node* node : {&a_, &b_}) PollAll(*node);
      std::this_thread::sleep_for(milliseconds(10));  // the sockets' own time
    }
  }
  bool Missed() const { return a_.Got<Goodbye>(kB) != nullptr; }
};

// Of an edge and a worker whose only way to one another is a coordinator that forwards.
class ForwardedLinks : public StillLinks {
 protected:
  ForwardedLinks() {
    StartStill(coordinator_, {.self = kCoordinatorNode,
                              .card = {.role = Role::kCoordinator, .name = "coordinator"},
                              .listen = kLoopback,
                              .forwards = true,
                              .members = true});
    JoinStill(a_, kA);
    JoinStill(b_, kB);
  }
  void JoinStill(Node& node, NodeId id) {
    StartStill(node, {.self = id,
                      .card = Card(ToString(id)),
                      .upstreams = {coordinator_.transport->endpoint()}});
    Enter(node, id);
  }
};

TEST_F(WatchedLinks, SilenceEndsALinkThatCarriedAFrameWithinASecond) {
  FrameCrosses();
  OnlyATurns(kWatchedSilenceMax);
  EXPECT_FALSE(Missed());
  OnlyATurns(milliseconds(200));
  EXPECT_EQ(a_.Reason(kB), "it is silent");
}

TEST_F(WatchedLinks, ALinkThatWasJustOpenedIsWatchedForItsFirstFrame) {
  OnlyATurns(kWatchedSilenceMax + milliseconds(200));
  EXPECT_EQ(a_.Reason(kB), "it is silent");
}

TEST_F(WatchedLinks, AKeyOfASessionBeginsAWatchAtBothEnds) {
  BothTurn(kWatchedFor + seconds(3));
  ASSERT_TRUE(a_.transport->Send(kB, Open{.session = {}}).ok());
  ASSERT_TRUE(Until({&a_, &b_}, [&] { return b_.Got<Open>(kA) != nullptr; }));
  BothTurn(seconds(3));
  EXPECT_FALSE(Missed()) << "B knows it too, and shows life often";
  OnlyATurns(kWatchedSilenceMax + milliseconds(200));
  EXPECT_TRUE(Missed());
}

TEST_F(WatchedLinks, WithoutFramesSilenceMayLast) {
  BothTurn(kWatchedFor + seconds(3));
  OnlyATurns(2 * kWatchedSilenceMax);
  EXPECT_FALSE(Missed());
  ASSERT_TRUE(a_.transport->Send(kB, Frame(1)).ok());
  OnlyATurns(kWatchedSilenceMax);
  EXPECT_FALSE(Missed()) << "what it did not say before it was watched does not count";
  OnlyATurns(milliseconds(200));
  EXPECT_TRUE(Missed());
}

// So that four signs of life must be lost before somebody is missed, and not one.
TEST_F(WatchedLinks, SignsOfLifeComeSoOftenThatAPauseOfMoreThanHalfTheSilenceHarmsNobody) {
  FrameCrosses();
  for (int i = 0; i < 8; ++i) {
    BothTurn(milliseconds(250));
    OnlyATurns(milliseconds(600));
    EXPECT_FALSE(Missed()) << "in pause " << i;
  }
}

TEST_F(WatchedLinks, BothEndsShowLifeWhileTheyAreWatchedAndAfterwards) {
  FrameCrosses();
  BothTurn(kWatchedFor + seconds(3));
  EXPECT_FALSE(Missed()) << a_.Reason(kB);
}

// As the last worker of a route answers the pieces of a prompt whose rows came to it directly: the
// coordinator forwards no rows for it, and says Alive each second as to anybody.
TEST_F(ForwardedLinks, AnswersWithoutRowsAreNoReasonToMissWhoeverForwardsThem) {
  Activation answer;
  answer.envelope = {.edge = kA, .step = 3, .flags = kFlagAnswer};
  Time answered = still_.Now();
  for (const Time end = still_.Now() + seconds(5); still_.Now() < end;) {
    still_.Advance(milliseconds(70));  // no divisor of a second: signs of life come a little late
    if (still_.Now() - answered >= milliseconds(200)) {
      answered = still_.Now();
      ASSERT_TRUE(b_.transport->Send(kA, answer).ok());
    }
    for (Node* node : {&coordinator_, &a_, &b_}) PollAll(*node);
    std::this_thread::sleep_for(milliseconds(10));  // the sockets' own time
  }
  EXPECT_NE(a_.Got<Activation>(kB), nullptr);
  EXPECT_EQ(b_.Reason(kCoordinatorNode), "no Goodbye");
  EXPECT_EQ(a_.Reason(kCoordinatorNode), "no Goodbye");
  EXPECT_TRUE(b_.transport->UpstreamStatus().ok());
}

TEST_F(WatchedLinks, WhoeverStoodStillItselfJudgesNobody) {
  FrameCrosses();
  still_.Advance(seconds(30));
  EXPECT_FALSE(a_.transport->Poll().has_value());
  OnlyATurns(milliseconds(500));
  EXPECT_FALSE(Missed());
}

}  // namespace
}  // namespace mortar
