// Goal: one test for each row of the table in protocol/zmq_transport.h, over real sockets on
// loopback: good links, and links that go bad. What strangers send: zmq_strangers_test.cc.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "protocol/handshake.h"
#include "tests/unit/protocol/zmq_nodes.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

TEST_F(ZmqLinks, FramesGoThroughTheCoordinatorUntilThereIsADirectLink) {
  Join(a_, kA);
  Join(b_, kB);
  ASSERT_TRUE(a_.transport->Send(kB, Frame(3)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(kA) != nullptr; }));
  EXPECT_EQ(coordinator_.transport->counters().forwarded, 1u);

  a_.transport->Introduce({kB, b_.transport->endpoint()});
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(kB); }));
  b_.got.clear();
  ASSERT_TRUE(a_.transport->Send(kB, Frame(3)).ok());
  ASSERT_TRUE(b_.transport->IsDirect(kA)) << "both ends have the link";
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(kA) != nullptr; }));
  EXPECT_EQ(coordinator_.transport->counters().forwarded, 1u);
  const Rows& rows = b_.Got<Activation>(kA)->rows;
  ASSERT_EQ(rows.n(), 3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(rows.data()) % 64, 0u);
  for (int i = 0; i < 3 * kWidth; ++i) ASSERT_EQ(rows.data()[i], static_cast<float>(i));
}

TEST_F(ZmqLinks, ADirectLinkOpensAsSoonAsItIsGreeted) {
  const ManualClock still;  // nothing that is done from time to time is done
  auto dialling = ZmqTransport::Create({.self = kA, .card = Card("a")}, {still, log_, pool_});
  ASSERT_TRUE(dialling.ok()) << dialling.status();
  a_.transport = *std::move(dialling);
  Start(b_, {.self = kB, .card = Card("b"), .listen = kLoopback});
  a_.transport->Introduce({kB, b_.transport->endpoint()});
  EXPECT_TRUE(Until({&a_, &b_}, [&] { return a_.transport->IsDirect(kB); }));
}

TEST_F(ZmqLinks, AGreetingWakesWhoeverHasAHelloWaiting) {
  Start(a_, {.self = kA, .card = Card("a")});
  Start(b_, {.self = kB, .card = Card("b"), .listen = kLoopback});
  std::atomic<bool> open = false;
  std::thread turning_b([&] {
    while (!open) {
      (void)b_.transport->Poll();
      b_.transport->Wait(milliseconds(5));
    }
  });
  a_.transport->Introduce({kB, b_.transport->endpoint()});
  const Time start = clock_.Now();
  while (!a_.transport->IsDirect(kB) && clock_.Now() - start < seconds(20)) {
    (void)a_.transport->Poll();
    if (!a_.transport->IsDirect(kB)) a_.transport->Wait(seconds(10));
  }
  open = true;
  turning_b.join();
  EXPECT_LT(clock_.Now() - start, seconds(5));
}

TEST_F(ZmqLinks, AHelloThatWasSaidBeforeAnybodyListenedArrivesOnce) {
  const std::string endpoint = coordinator_.transport->endpoint();
  coordinator_.transport.reset();
  Start(a_, {.self = kA, .card = Card("a"), .upstreams = {endpoint}});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(a_.transport->Send(kCoordinatorNode, Card("a")).ok());
    EXPECT_TRUE(absl::IsUnavailable(a_.transport->Send(kCoordinatorNode, NodeStatus{})))
        << "nothing else waits";
  }
  StartCoordinator(endpoint);
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return coordinator_.Got<Hello>(kA) != nullptr; }));
  const Time start = clock_.Now();
  Until({&a_, &coordinator_}, [&] { return clock_.Now() - start > milliseconds(100); });
  EXPECT_EQ(coordinator_.got.size(), 1u);
}

TEST_F(ZmqLinks, AFrameIsCountedAsItsBytesOnTheStreamOnceAtTheSender) {
  Join(a_, kA);
  Join(b_, kB);
  ASSERT_TRUE(a_.transport->Send(kB, Frame(1)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(kA) != nullptr; }));
  LinkCounters sent;
  for (const LinkCounters& link : a_.transport->Links()) {
    if (link.to == kB) sent = link;
  }
  EXPECT_EQ(sent.frames, 1u);
  EXPECT_EQ(sent.rows, 1u);
  EXPECT_EQ(sent.frame_bytes, (128 + 2) + (kWidth * 4 + 9));
  for (const LinkCounters& link : coordinator_.transport->Links()) EXPECT_EQ(link.frames, 0u);
}

TEST_F(ZmqLinks, NobodyThereIsSaidToWhoeverAsks) {
  const std::string endpoint = coordinator_.transport->endpoint();
  coordinator_.transport.reset();
  Start(a_, {.self = kA, .card = Card("a"), .upstreams = {endpoint}});
  EXPECT_TRUE(Until({&a_}, [&] {
    return Message(a_.transport->UpstreamStatus()) ==
           "cannot reach the coordinator at " + endpoint + ": nobody listens there";
  })) << a_.transport->UpstreamStatus();
}

TEST_F(ZmqLinks, APortInUseAndAnEndpointThatIsNoneAreErrors) {
  const auto create = [&](const std::string& listen) {
    return Message(ZmqTransport::Create({.self = kA, .card = Card("a"), .listen = listen},
                                        {clock_, log_, pool_})
                       .status());
  };
  const std::string taken = coordinator_.transport->endpoint();
  EXPECT_EQ(create(taken), "cannot listen on " + taken + ": Address already in use");
  EXPECT_THAT(create("localhost"), HasSubstr("not an endpoint; give tcp://ADDRESS:PORT"));
}

TEST_F(ZmqLinks, ANodeOfAnotherModelGetsNoDirectLink) {
  Join(a_, kA);
  Join(b_, kB);
  Node other;
  Hello card = Card("other");
  card.model.digest.bytes[0] = 1;
  Start(other, {.self = NodeId{300}, .card = card});
  other.transport->Introduce({kB, b_.transport->endpoint()});
  const Time start = clock_.Now();
  ASSERT_TRUE(Until({&other, &b_}, [&] { return clock_.Now() - start > seconds(1); }));
  EXPECT_FALSE(other.transport->IsDirect(kB));
  EXPECT_FALSE(b_.transport->IsDirect(NodeId{300}));
}

TEST_F(ZmqLinks, WhoGoesIsMissedAndWhoSentIsTold) {
  Join(a_, kA);
  Join(b_, kB);
  a_.transport->Introduce({kB, b_.transport->endpoint()});
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(kB); }));
  b_.transport.reset();
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return a_.Got<Goodbye>(kB) != nullptr; }));
  EXPECT_TRUE(absl::IsUnavailable(a_.Got<Goodbye>(kB)->status));
  ASSERT_TRUE(
      Until({&a_, &coordinator_}, [&] { return coordinator_.Got<Goodbye>(kB) != nullptr; }));
  // The next frame finds no way: whoever forwards says so.
  ASSERT_TRUE(a_.transport->Send(kB, Frame(1)).ok());
  ASSERT_TRUE(
      Until({&a_, &coordinator_}, [&] { return a_.Got<NeedRoute>(kCoordinatorNode) != nullptr; }));
  EXPECT_EQ(a_.Got<NeedRoute>(kCoordinatorNode)->step, 3u);
}

TEST_F(ZmqLinks, WhoWasReachedThroughALostCoordinatorIsGoneToo) {
  Join(a_, kA);
  Join(b_, kB, "");
  ASSERT_TRUE(a_.transport->Send(kB, Frame(1)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(kA) != nullptr; }));
  coordinator_.transport.reset();
  ASSERT_TRUE(Until({&a_}, [&] { return a_.Got<Goodbye>(kB) != nullptr; }));
  EXPECT_THAT(a_.Reason(kB), HasSubstr("its relay"));
}

TEST_F(ZmqLinks, WhoeverSentThroughACoordinatorIsToldThatANodeIsGone) {
  Join(a_, kA);
  Join(b_, kB, "");
  ASSERT_TRUE(a_.transport->Send(kB, Frame(1)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(kA) != nullptr; }));
  b_.transport.reset();
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return a_.Got<Goodbye>(kB) != nullptr; }));
}

TEST_F(ZmqLinks, ARelayThatComesBackAsAnotherNodeIsUsedAgain) {
  Node relay;
  ZmqOptions options{.self = NodeId{500},
                     .card = {.role = Role::kRelay, .name = "relay"},
                     .listen = kLoopback,
                     .upstreams = {coordinator_.transport->endpoint()},
                     .forwards = true};
  Start(relay, options);
  const std::string endpoint = relay.transport->endpoint();
  Start(a_, {.self = kA,
             .card = Card("a"),
             .upstreams = {coordinator_.transport->endpoint()},
             .relay = endpoint});
  ASSERT_TRUE(
      Until({&a_, &relay, &coordinator_}, [&] { return a_.transport->IsDirect(NodeId{500}); }));
  relay.transport.reset();
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return !a_.transport->IsDirect(NodeId{500}); }));
  options.self = NodeId{501};
  options.listen = endpoint;
  Start(relay, options);
  EXPECT_TRUE(
      Until({&a_, &relay, &coordinator_}, [&] { return a_.transport->IsDirect(NodeId{501}); }));
}

TEST_F(ZmqLinks, WhomTheCoordinatorRefusesHasNoLink) {
  Join(b_, kB, "");
  Start(a_, {.self = kA, .card = Card("a"), .upstreams = {coordinator_.transport->endpoint()}});
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] {
    (void)a_.transport->Send(kCoordinatorNode, Card("a"));
    return coordinator_.Got<Hello>(kA) != nullptr;
  }));
  EXPECT_FALSE(coordinator_.transport->IsDirect(kA)) << "not before its Welcome";
  ASSERT_TRUE(coordinator_.transport->Send(kA, Goodbye{FailedPrecondition("no")}).ok());
  ASSERT_TRUE(
      Until({&a_, &coordinator_}, [&] { return a_.Got<Goodbye>(kCoordinatorNode) != nullptr; }));
  EXPECT_FALSE(coordinator_.transport->IsDirect(kA));
  EXPECT_FALSE(coordinator_.transport->Send(kA, End{}).ok());
}

TEST_F(ZmqLinks, ANodeWhoseLoopStandsStillIsMissed) {
  Join(a_, kA);
  Join(b_, kB);
  a_.transport->Introduce({kB, b_.transport->endpoint()});
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(kB); }));
  // B's I/O thread still answers; its loop does not turn.
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return a_.Got<Goodbye>(kB) != nullptr; }));
  EXPECT_EQ(a_.Reason(kB), "it is silent");
  // A has closed what it gave up, and its next Hello makes B look.
  ASSERT_TRUE(Until({&b_, &a_, &coordinator_}, [&] { return b_.Got<Goodbye>(kA) != nullptr; }));
  EXPECT_EQ(b_.Reason(kA), "its connection is gone");
  EXPECT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(kB); }));
}

TEST_F(ZmqLinks, AMessageThatFindsItsWayGoneTakesTheNext) {
  Join(a_, kA);
  Join(b_, kB);
  a_.transport->Introduce({kB, b_.transport->endpoint()});
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_},
                    [&] { return a_.transport->IsDirect(kB) && b_.transport->IsDirect(kA); }));
  a_.transport.reset();
  coordinator_.got.clear();
  Join(a_, kA);
  const auto told = [&](auto is_kind) {
    return std::ranges::find_if(coordinator_.got, [&](const Incoming& incoming) {
      return incoming.from == kA && is_kind(incoming.message);
    });
  };
  EXPECT_LT(told([](const AnyMessage& m) { return std::holds_alternative<Goodbye>(m); }),
            told([](const AnyMessage& m) { return std::holds_alternative<Hello>(m); }))
      << "the old A has left before the new one comes";
  // Until B's I/O thread has seen it, what B sends is lost like what was on its way.
  const Time back = clock_.Now();
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return clock_.Now() - back > milliseconds(300); }));
  ASSERT_TRUE(b_.transport->IsDirect(kA)) << "as B still thinks";
  EXPECT_TRUE(b_.transport->Send(kA, Frame(1)).ok());
  EXPECT_TRUE(Until({&a_, &coordinator_}, [&] { return a_.Got<Activation>(kB) != nullptr; }));
  EXPECT_TRUE(Until({&b_, &coordinator_}, [&] { return b_.Got<Goodbye>(kA) != nullptr; }));
  EXPECT_EQ(b_.Reason(kA), "its connection is gone");
}

TEST_F(ZmqLinks, NobodyDialsOffThisMachineUnlessAllowed) {
  Join(a_, kA);
  for (const char* endpoint : {"tcp://10.1.2.3:4750", "ipc:///tmp/x", "tcp://0.0.0.0:4750"}) {
    a_.transport->Introduce({NodeId{300}, endpoint});
    EXPECT_EQ(a_.transport->counters().dialled, 1u) << endpoint;  // the coordinator alone
  }
}

TEST_F(ZmqLinks, ANodeThatCannotBeDialledIsTriedAgain) {
  Join(a_, kA);
  Join(b_, kB);
  const std::string endpoint = b_.transport->endpoint();
  b_.transport.reset();
  ASSERT_TRUE(
      Until({&a_, &coordinator_}, [&] { return coordinator_.Got<Goodbye>(kB) != nullptr; }));
  a_.transport->Introduce({kB, endpoint});
  const Time start = clock_.Now();
  ASSERT_FALSE(
      Until({&a_, &coordinator_}, [&] { return clock_.Now() - start > kDialMax + seconds(1); }) &&
      a_.transport->IsDirect(kB))
      << "given up once";
  coordinator_.got.clear();
  Start(b_, {.self = kB, .card = Card("b"), .listen = endpoint});
  EXPECT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(kB); }));
}

TEST_F(ZmqLinks, ACoordinatorThatComesBackIsFoundAgain) {
  Join(a_, kA);
  const std::string endpoint = coordinator_.transport->endpoint();
  coordinator_.transport.reset();
  ASSERT_TRUE(Until({&a_}, [&] { return a_.Got<Goodbye>(kCoordinatorNode) != nullptr; }));
  EXPECT_FALSE(a_.transport->UpstreamStatus().ok());
  coordinator_.got.clear();
  StartCoordinator(endpoint);
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] {
    (void)a_.transport->Send(kCoordinatorNode, Card("a"));
    return coordinator_.Got<Hello>(kA) != nullptr;
  }));
}

TEST_F(ZmqLinks, AFullQueueIsAnErrorAndMemoryIsBounded) {
  Join(a_, kA);
  Join(b_, kB);
  a_.transport->Introduce({kB, b_.transport->endpoint()});
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(kB); }));
  // B's loop stands still. ZeroMQ and the kernel take some, the transport 16 MiB, then no more.
  absl::Status sent;
  size_t bytes = 0;
  while (sent.ok() && bytes < (size_t{256} << 20)) {
    sent = a_.transport->Send(kB, Frame(1024));
    bytes += 1024 * kWidth * 4;
  }
  EXPECT_TRUE(absl::IsResourceExhausted(sent)) << sent;
  EXPECT_LT(bytes, size_t{64} << 20);
  EXPECT_TRUE(a_.transport->Send(kCoordinatorNode, End{}).ok()) << "others are served";
}

TEST_F(ZmqLinks, AWakeEndsAWait) {
  const Time start = clock_.Now();
  coordinator_.transport->Wake();
  coordinator_.transport->Wait(seconds(10));
  EXPECT_LT(clock_.Now() - start, seconds(5));
}

}  // namespace
}  // namespace mortar
