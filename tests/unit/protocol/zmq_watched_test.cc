// Goal: where sessions wait, silence is found within a second, and nobody is missed who only had
// nothing to say, or whom this node did not look for.
#include <chrono>
#include <thread>

#include "tests/unit/protocol/zmq_nodes.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Of two nodes with a clock that the test moves, so that silence has its exact length.
class WatchedLinks : public ZmqLinks {
 protected:
  WatchedLinks() {
    StartStill(a_, {.self = kA, .card = Card("a")});
    StartStill(b_, {.self = kB, .card = Card("b"), .listen = kLoopback});
    a_.transport->Introduce({kB, b_.transport->endpoint()});
    EXPECT_TRUE(Until({&a_, &b_}, [&] { return a_.transport->IsDirect(kB); }));
    b_.got.clear();
  }
  void StartStill(Node& node, ZmqOptions options) {
    auto transport = ZmqTransport::Create(std::move(options), {still_, log_, pool_});
    ASSERT_TRUE(transport.ok()) << transport.status();
    node.transport = *std::move(transport);
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
      while (auto incoming = a_.transport->Poll()) a_.got.push_back(*std::move(incoming));
    }
  }
  void BothTurn(Duration time) {
    for (const Time end = still_.Now() + time; still_.Now() < end;) {
      still_.Advance(milliseconds(50));
      for (Node* node : {&a_, &b_}) {
        while (auto incoming = node->transport->Poll()) node->got.push_back(*std::move(incoming));
      }
      std::this_thread::sleep_for(milliseconds(10));  // the sockets' own time
    }
  }
  bool Missed() const { return a_.Got<Goodbye>(kB) != nullptr; }

  ManualClock still_;
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

TEST_F(WatchedLinks, BothEndsShowLifeWhileTheyAreWatchedAndAfterwards) {
  FrameCrosses();
  BothTurn(kWatchedFor + seconds(3));
  EXPECT_FALSE(Missed()) << a_.Reason(kB);
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
