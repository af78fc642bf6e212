// Goal: a coordinator with nodes behind it is a relay between them and its links: frames cross both
// ways with their rows, nobody outside speaks in their names, and what is no message never gets
// there.
#include <gmock/gmock.h>

#include "protocol/mpi_transport.h"
#include "protocol/wire.h"
#include "protocol/zmq_socket.h"
#include "tests/support/local_mpi.h"
#include "tests/support/sample_messages.h"
#include "tests/unit/protocol/zmq_nodes.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr NodeId kRank{17};
constexpr NodeId kOtherRank{18};

class Ranks final : public NodesBehind {
 public:
  bool Owns(NodeId node) const override {
    return node == kRank || node == kOtherRank || node == kCoordinatorNode;
  }
  absl::Status Forward(NodeId from, NodeId to, AnyMessage message) override {
    if (network != nullptr) return network->Forward(from, to, std::move(message));
    if (full) return ResourceExhausted("full");
    got.push_back({.from = from, .message = std::move(message)});
    to_.push_back(to);
    return absl::OkStatus();
  }
  template <typename T>
  const T* Got(NodeId from) const {
    for (const Incoming& incoming : got) {
      if (incoming.from == from && std::holds_alternative<T>(incoming.message)) {
        return &std::get<T>(incoming.message);
      }
    }
    return nullptr;
  }
  std::vector<Incoming> got;
  std::vector<NodeId> to_;
  bool full = false;
  MpiNetwork* network = nullptr;  // where it goes; null: it stays in `got`
};

class ZmqBehind : public ZmqLinks {
 protected:
  ZmqBehind() {
    coordinator_.transport.reset();
    ZmqOptions options{.self = kCoordinatorNode,
                       .card = {.role = Role::kCoordinator, .name = "c", .model = Model()},
                       .listen = kLoopback,
                       .forwards = true,
                       .members = true};
    coordinator_.transport = *ZmqTransport::Create(options, {clock_, log_, pool_, &ranks_});
  }
  const ZmqCounters& counters() const { return coordinator_.transport->counters(); }
  // As the coordinator's own, which nobody outside has asked for.
  Node relay_;
  void JoinRelay() {
    Hello card{.role = Role::kRelay, .name = "r"};
    Start(relay_, {.self = kB,
                   .card = card,
                   .listen = kLoopback,
                   .upstreams = {coordinator_.transport->endpoint()},
                   .forwards = true});
    ASSERT_TRUE(Until({&relay_, &coordinator_}, [&] {
      (void)relay_.transport->Send(kCoordinatorNode, card);
      return relay_.transport->UpstreamStatus().ok();
    }));
  }

  Ranks ranks_;
};

TEST_F(ZmqBehind, FramesCrossBothWaysWithTheirRows) {
  Join(a_, kA);
  ASSERT_TRUE(a_.transport->Send(kRank, Frame(2)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return ranks_.Got<Activation>(kA) != nullptr; }));
  EXPECT_EQ(ranks_.to_.back(), kRank);
  const Rows& rows = ranks_.Got<Activation>(kA)->rows;
  ASSERT_EQ(rows.n(), 2);
  for (int i = 0; i < 2 * kWidth; ++i) ASSERT_EQ(rows.data()[i], static_cast<float>(i));

  ASSERT_TRUE(coordinator_.transport->Forward(kRank, kA, Frame(3)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return a_.Got<Activation>(kRank) != nullptr; }));
  EXPECT_EQ(a_.Got<Activation>(kRank)->rows.n(), 3);
  EXPECT_EQ(counters().forwarded, 2u);
}

TEST_F(ZmqBehind, AHelloUnderTheIdOfANodeBehindGetsNothing) {
  Start(a_, {.self = kRank, .card = Card("a"), .upstreams = {coordinator_.transport->endpoint()}});
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] {
    (void)a_.transport->Send(kCoordinatorNode, Card("a"));
    return a_.Got<Goodbye>(kCoordinatorNode) != nullptr;
  }));
  EXPECT_THAT(a_.Reason(kCoordinatorNode), HasSubstr("is not the sender's"));
  EXPECT_EQ(coordinator_.Got<Hello>(kRank), nullptr) << "the loop hears nothing of it";
  EXPECT_GE(counters().impostors, 1u);
  EXPECT_TRUE(absl::IsNotFound(coordinator_.transport->Forward(kOtherRank, kRank, Alive{})));
}

TEST_F(ZmqBehind, ARelayBringsWhatOthersSayAndNothingInTheNameOfANodeBehind) {
  JoinRelay();
  Start(a_, {.self = kA, .card = Card("a"), .relay = relay_.transport->endpoint()});
  ASSERT_TRUE(Until({&a_, &relay_, &coordinator_}, [&] {
    return a_.transport->Send(kRank, Alive{}).ok() && ranks_.Got<Alive>(kA) != nullptr;
  }));
  // It lets anybody in under any id, for it knows of no ranks.
  Start(b_, {.self = kOtherRank, .card = Card("b"), .relay = relay_.transport->endpoint()});
  ASSERT_TRUE(Until({&b_, &relay_, &coordinator_}, [&] {
    (void)b_.transport->Send(kRank, Alive{});
    return counters().impostors >= 1;
  }));
  EXPECT_EQ(ranks_.Got<Alive>(kOtherRank), nullptr);
}

TEST_F(ZmqBehind, BytesThatAreNoMessageAreCountedAndNeverGetThere) {
  Join(a_, kA);
  ASSERT_TRUE(a_.transport->Send(kRank, Frame(1)).ok());
  Activation wrong = Frame(1);
  wrong.envelope.n = 2;  // its rows are one
  ASSERT_TRUE(a_.transport->Send(kRank, wrong).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return counters().wrong_sizes == 1; }));
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return a_.Got<Rejected>(kCoordinatorNode); }));
  EXPECT_EQ(ranks_.got.size(), 1u);
}

// A status that leaves out what a brick may leave out is within the bound of a message, and beyond
// it as MPI would get it.
TEST_F(ZmqBehind, AMessageThatGrowsBeyondTheBoundIsCountedAndTheNextOneGetsThere) {
  LocalMpi mpi(2);
  const auto network = [&](int rank) {
    MpiNetwork::Parts parts{mpi.functions(), mpi.job(rank), clock_, pool_};
    parts.open = true;
    return std::make_unique<MpiNetwork>(rank, 2, kWidth, parts);
  };
  const auto zero = network(0), one = network(1);
  const auto rank = one->Attach(kRank);
  ranks_.network = zero.get();
  ZmqContext context;
  const auto socket = *ZmqSocket::Dial(context, coordinator_.transport->endpoint());
  const auto say = [&](std::span<const uint64_t> words) {
    while (socket->Send(0, words, {}) != SendOutcome::kSent) {
    }
  };
  WireWriter writer;
  say(writer.Write(kA, kCoordinatorNode, Card("a")));
  ASSERT_TRUE(Until({&coordinator_}, [&] { return coordinator_.Got<Hello>(kA) != nullptr; }));
  ASSERT_TRUE(coordinator_.transport->Send(kA, Welcome{}).ok());

  say(CompactStatus(kA, kRank, kBricksMax, kFrameRowBytesMax));
  ASSERT_TRUE(Until({&coordinator_}, [&] { return counters().malformed == 1; }));
  EXPECT_EQ(counters().forwarded, 0u);
  EXPECT_FALSE(rank->Poll().has_value());
  EXPECT_TRUE(zero->failure().ok()) << zero->failure();
  say(CompactStatus(kA, kRank, kBricksMax, 1000));
  std::optional<Incoming> got;
  ASSERT_TRUE(Until({&coordinator_}, [&] { return (got = rank->Poll()).has_value(); }));
  EXPECT_EQ(got->from, kA);
  EXPECT_EQ(std::get<NodeStatus>(got->message).bricks.size(), kBricksMax);
  ranks_.network = nullptr;
}

TEST_F(ZmqBehind, AFrameThatFindsItsQueueFullIsAnsweredNeedRoute) {
  Join(a_, kA);
  ranks_.full = true;
  ASSERT_TRUE(a_.transport->Send(kRank, Frame(1)).ok());
  EXPECT_TRUE(Until({&a_, &coordinator_}, [&] { return a_.Got<NeedRoute>(kCoordinatorNode); }));
  EXPECT_EQ(counters().undeliverable, 1u);
}

TEST_F(ZmqBehind, AFrameForANodeThatIsGoneIsAnsweredToItsEdgeAlsoBehind) {
  Join(a_, kA);
  Activation frame = Frame(1);
  frame.envelope.edge = kOtherRank;
  EXPECT_FALSE(coordinator_.transport->Forward(kRank, kB, frame).ok());
  EXPECT_NE(ranks_.Got<NeedRoute>(kCoordinatorNode), nullptr);
  EXPECT_EQ(ranks_.to_.back(), kOtherRank);
  EXPECT_FALSE(coordinator_.transport->Forward(kRank, kB, Frame(1)).ok());
  EXPECT_TRUE(Until({&a_, &coordinator_}, [&] { return a_.Got<NeedRoute>(kCoordinatorNode); }));
}

TEST_F(ZmqBehind, NodesBehindThatSpokeWithANodeAreToldWhenItIsGone) {
  Join(a_, kA);
  Join(b_, kB);
  ASSERT_TRUE(a_.transport->Send(kRank, Frame(1)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return ranks_.Got<Activation>(kA) != nullptr; }));
  ASSERT_TRUE(coordinator_.transport->Forward(kOtherRank, kB, Frame(1)).ok());
  ASSERT_TRUE(Until({&b_, &coordinator_}, [&] { return b_.Got<Activation>(kOtherRank); }));
  a_.transport.reset();
  b_.transport.reset();
  ASSERT_TRUE(Until({&coordinator_}, [&] {
    return ranks_.Got<Goodbye>(kA) != nullptr && ranks_.Got<Goodbye>(kB) != nullptr;
  }));
  int to_rank = 0, to_other = 0;
  for (size_t i = 0; i < ranks_.got.size(); ++i) {
    if (!std::holds_alternative<Goodbye>(ranks_.got[i].message)) continue;
    ++(ranks_.to_[i] == kRank ? to_rank : to_other);
  }
  EXPECT_EQ(to_rank, 1) << "of a alone";
  EXPECT_EQ(to_other, 1) << "of b alone";
}

// What waits for a node that takes nothing is bounded, and nobody waits with it.
TEST_F(ZmqBehind, ASlowNodeOutsideFillsItsOwnQueueAlone) {
  Join(a_, kA);
  Join(b_, kB);
  const Activation frame = Frame(FrameRowsMax(kWidth));
  absl::Status status;
  size_t sent = 0;
  while ((status = coordinator_.transport->Forward(kRank, kA, frame)).ok() && sent < 1000) ++sent;
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status << " after " << sent;
  ASSERT_TRUE(coordinator_.transport->Forward(kRank, kB, frame).ok());
  EXPECT_TRUE(Until({&b_, &coordinator_}, [&] { return b_.Got<Activation>(kRank) != nullptr; }));
}

}  // namespace
}  // namespace mortar
