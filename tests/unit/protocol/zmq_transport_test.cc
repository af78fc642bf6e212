// Goal: one test for each row of the table in protocol/zmq_transport.h, over real sockets on
// loopback: good links, bad bytes, and links that go bad.
#include "protocol/zmq_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "protocol/handshake.h"
#include "protocol/wire.h"
#include "protocol/zmq_socket.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr NodeId kA{100};
constexpr NodeId kB{200};
constexpr int kWidth = 64;
constexpr char kLoopback[] = "tcp://127.0.0.1:0";

ModelId Model() { return {.name = "m", .digest = {}, .n_layers = 4, .n_embd = kWidth}; }

Hello Card(const std::string& name) {
  return {.role = Role::kWorker, .name = name, .model = Model()};
}

// One node with all that came to its loop.
struct Node {
  std::unique_ptr<ZmqTransport> transport;
  std::vector<Incoming> got;

  template <typename T>
  const T* Got(NodeId from) const {
    for (const Incoming& incoming : got) {
      if (incoming.from == from && std::holds_alternative<T>(incoming.message)) {
        return &std::get<T>(incoming.message);
      }
    }
    return nullptr;
  }
  std::string Reason(NodeId from) const {
    const auto* goodbye = Got<Goodbye>(from);
    return goodbye == nullptr ? "no Goodbye" : Message(goodbye->status);
  }
};

class ZmqLinks : public testing::Test {
 protected:
  ZmqLinks() {
    Start(coordinator_, {.self = kCoordinatorNode,
                         .card = {.role = Role::kCoordinator, .name = "coordinator"},
                         .listen = kLoopback,
                         .forwards = true,
                         .members = true});
  }

  void Start(Node& node, ZmqOptions options) {
    auto transport = ZmqTransport::Create(std::move(options), {clock_, log_, pool_});
    ASSERT_TRUE(transport.ok()) << transport.status();
    node.transport = *std::move(transport);
  }
  // A node that says Hello to the coordinator, which welcomes it.
  void Join(Node& node, NodeId id, const std::string& listen = kLoopback) {
    Start(node, {.self = id,
                 .card = Card(ToString(id)),
                 .listen = listen,
                 .upstream = coordinator_.transport->endpoint()});
    ASSERT_TRUE(Until({&node, &coordinator_}, [&] {
      (void)node.transport->Send(kCoordinatorNode, Card(ToString(id)));
      return coordinator_.Got<Hello>(id) != nullptr;
    }));
    ASSERT_TRUE(coordinator_.transport->Send(id, Welcome{}).ok());
    ASSERT_TRUE(
        Until({&node, &coordinator_}, [&] { return node.transport->UpstreamStatus().ok(); }));
  }
  // Turns the loops of `nodes` until `done`, for ten seconds at most.
  bool Until(const std::vector<Node*>& nodes, const std::function<bool()>& done) {
    const Time start = clock_.Now();
    while (clock_.Now() - start < seconds(10)) {
      for (Node* node : nodes) {
        while (auto incoming = node->transport->Poll()) node->got.push_back(*std::move(incoming));
      }
      if (done()) return true;
      nodes.front()->transport->Wait(milliseconds(1));
    }
    return false;
  }
  Activation Frame(int n) {
    Activation frame;
    frame.envelope.session.bytes[0] = 7;
    frame.envelope.edge = kA;
    frame.envelope.step = 3;
    frame.envelope.n = static_cast<uint32_t>(n);
    frame.rows = pool_.Take(n, kWidth);
    for (int i = 0; i < n * kWidth; ++i) frame.rows.mutable_data()[i] = static_cast<float>(i);
    return frame;
  }

  SteadyClock clock_;
  Logger log_{LogLevel::kOff, LogFormat::kText};
  RowsPool pool_;
  Node coordinator_;
  Node a_;
  Node b_;
};

TEST_F(ZmqLinks, FramesGoThroughTheCoordinatorUntilThereIsADirectLink) {
  Join(a_, kA);
  Join(b_, kB);
  ASSERT_TRUE(a_.transport->Send(kB, Frame(3)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(kA) != nullptr; }));
  EXPECT_EQ(coordinator_.transport->counters().forwarded, 1u);

  a_.transport->Introduce(kB, b_.transport->endpoint());
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
  EXPECT_EQ(sent.frame_bytes, (112 + 2) + (kWidth * 4 + 9));
  for (const LinkCounters& link : coordinator_.transport->Links()) EXPECT_EQ(link.frames, 0u);
}

TEST_F(ZmqLinks, NobodyThereIsSaidToWhoeverAsks) {
  const std::string endpoint = coordinator_.transport->endpoint();
  coordinator_.transport.reset();
  Start(a_, {.self = kA, .card = Card("a"), .upstream = endpoint});
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
  other.transport->Introduce(kB, b_.transport->endpoint());
  const Time start = clock_.Now();
  ASSERT_TRUE(Until({&other, &b_}, [&] { return clock_.Now() - start > seconds(1); }));
  EXPECT_FALSE(other.transport->IsDirect(kB));
  EXPECT_FALSE(b_.transport->IsDirect(NodeId{300}));
}

// A connection without a node behind it: sends what it likes.
class Stranger {
 public:
  Stranger(const ZmqTransport& to) { socket_ = *ZmqSocket::Dial(context_, to.endpoint()); }

  void Send(const std::vector<uint64_t>& words, const std::vector<std::byte>& body = {}) {
    while (socket_->Send(0, words, body) != SendOutcome::kSent) {
    }
  }
  void TrySend(const std::vector<uint64_t>& words) { (void)socket_->Send(0, words, {}); }
  void Say(NodeId from, NodeId to, const AnyMessage& message,
           const std::vector<std::byte>& body = {}) {
    const auto words = writer_.Write(from, to, message);
    Send({words.begin(), words.end()}, body);
  }
  // The next answer, if one is there.
  std::optional<AnyMessage> Hear() {
    const auto head = socket_->ReceiveHead();
    if (!head) return std::nullopt;
    auto read = ReadMessage(head->words);
    return read.ok() ? std::optional<AnyMessage>(std::move(read->message)) : std::nullopt;
  }

 private:
  ZmqContext context_;
  WireWriter writer_;
  std::unique_ptr<ZmqSocket> socket_;
};

class ZmqStrangers : public ZmqLinks {
 protected:
  ZmqStrangers() {
    Join(b_, kB);
    stranger_ = std::make_unique<Stranger>(*b_.transport);
  }
  // What the node answers to the stranger: the text of its Goodbye, or nothing for a while.
  std::string Answer() {
    std::string text = "no answer";
    Until({&b_, &coordinator_}, [&] {
      const auto message = stranger_->Hear();
      if (!message) return false;
      if (std::holds_alternative<Welcome>(*message)) text = "welcome";
      if (const auto* goodbye = std::get_if<Goodbye>(&*message)) text = Message(goodbye->status);
      if (const auto* rejected = std::get_if<Rejected>(&*message)) text = Message(rejected->status);
      return text != "no answer";
    });
    return text;
  }
  void SayHello() {
    Hello hello = Card("s");
    hello.role = Role::kEdge;
    stranger_->Say(kA, kB, hello);
    ASSERT_EQ(Answer(), "welcome");
  }
  const ZmqCounters& counters() const { return b_.transport->counters(); }

  std::unique_ptr<Stranger> stranger_;
};

TEST_F(ZmqStrangers, BytesThatAreNoMessageAreCountedAndAnswered) {
  stranger_->Send({0x0123456789abcdef, 42});
  EXPECT_THAT(Answer(), HasSubstr("no message of this protocol"));
  stranger_->Send(std::vector<uint64_t>(3000, ~uint64_t{0}));
  EXPECT_THAT(Answer(), HasSubstr("no message of this protocol"));
  EXPECT_EQ(counters().malformed, 2u);
  SayHello();  // the connection is none the worse for it
}

TEST_F(ZmqStrangers, NothingIsTakenBeforeHello) {
  stranger_->Say(kA, kB, Cancel{});
  EXPECT_EQ(Answer(), "say Hello first");
  EXPECT_EQ(counters().strangers, 1u);
  EXPECT_EQ(b_.Got<Cancel>(kA), nullptr);
}

TEST_F(ZmqStrangers, AHelloThatDoesNotAgreeIsRefusedWithTheReason) {
  Hello hello = Card("s");
  hello.version = 9;
  stranger_->Say(kA, kB, hello);
  EXPECT_THAT(Answer(), HasSubstr("protocol version 9"));
  hello = Card("s");
  hello.model.digest.bytes[0] = 1;
  stranger_->Say(kA, kB, hello);
  EXPECT_THAT(Answer(), HasSubstr("serves model m"));
}

TEST_F(ZmqStrangers, ANodeSpeaksForItselfAlone) {
  SayHello();
  stranger_->Say(NodeId{300}, kB, Cancel{});
  stranger_->Say(kA, NodeId{300}, Cancel{});
  stranger_->Say(kA, kB, End{});
  ASSERT_TRUE(Until({&b_, &coordinator_}, [&] { return b_.Got<End>(kA) != nullptr; }));
  EXPECT_EQ(counters().impostors, 1u);
  EXPECT_EQ(counters().misdirected, 1u);
  EXPECT_EQ(b_.Got<Cancel>(kA), nullptr);
  EXPECT_EQ(b_.Got<Cancel>(NodeId{300}), nullptr);
}

TEST_F(ZmqStrangers, AnIdInUseIsNotTakenOver) {
  SayHello();
  Stranger second(*b_.transport);
  second.Say(kA, kB, Card("t"));
  std::string text;
  ASSERT_TRUE(Until({&b_, &coordinator_}, [&] {
    const auto message = second.Hear();
    if (!message) return false;
    if (const auto* goodbye = std::get_if<Goodbye>(&*message)) text = Message(goodbye->status);
    return !text.empty();
  }));
  EXPECT_THAT(text, HasSubstr("in use by another connection"));
}

TEST_F(ZmqStrangers, RowsThatDoNotFitTheirEnvelopeAreRejected) {
  SayHello();
  Activation frame = Frame(2);
  frame.envelope.edge = kA;
  const auto say = [&](size_t bytes) {
    stranger_->Say(kA, kB, frame, std::vector<std::byte>(bytes));
    return Answer();
  };
  EXPECT_THAT(say(100), HasSubstr("rows of 100 bytes, the envelope says 512"));
  EXPECT_THAT(say(0), HasSubstr("frame of 2 rows in one part"));
  frame.envelope.n = 0;
  EXPECT_THAT(say(100), HasSubstr("frame of 0 rows in two parts"));
  frame.envelope.n = 0xffffffff;
  EXPECT_THAT(say(100), HasSubstr("frame of 4294967295 rows, at most 1024 are allowed"));
  EXPECT_EQ(counters().malformed, 4u);
  EXPECT_EQ(b_.Got<Activation>(kA), nullptr);
}

TEST_F(ZmqStrangers, AMessageBeyondTheLimitEndsTheConnectionAndNothingElse) {
  stranger_->Send(std::vector<uint64_t>(kMessageBytesMax / 8 + 1));
  Join(a_, kA);
  ASSERT_TRUE(a_.transport->Send(kB, Frame(1)).ok());
  EXPECT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(kA) != nullptr; }));
}

TEST_F(ZmqStrangers, AFloodLeavesTheOthersServed) {
  std::atomic<bool> stop = false;
  std::thread flood([&] {
    const std::vector<uint64_t> garbage(1000, ~uint64_t{0});
    while (!stop) stranger_->TrySend(garbage);
  });
  Join(a_, kA);
  for (int i = 0; i < 50; ++i) {
    b_.got.clear();
    ASSERT_TRUE(a_.transport->Send(kB, Frame(1)).ok());
    EXPECT_TRUE(
        Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(kA) != nullptr; }));
  }
  stop = true;
  flood.join();
  EXPECT_GT(counters().malformed, 0u);
}

TEST_F(ZmqLinks, WhoGoesIsMissedAndWhoSentIsTold) {
  Join(a_, kA);
  Join(b_, kB);
  a_.transport->Introduce(kB, b_.transport->endpoint());
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

TEST_F(ZmqLinks, ACoordinatorThatComesBackIsFoundAgain) {
  Join(a_, kA);
  const std::string endpoint = coordinator_.transport->endpoint();
  coordinator_.transport.reset();
  ASSERT_TRUE(Until({&a_}, [&] { return a_.Got<Goodbye>(kCoordinatorNode) != nullptr; }));
  EXPECT_FALSE(a_.transport->UpstreamStatus().ok());
  coordinator_.got.clear();
  Start(coordinator_, {.self = kCoordinatorNode,
                       .card = {.role = Role::kCoordinator, .name = "coordinator"},
                       .listen = endpoint,
                       .forwards = true,
                       .members = true});
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] {
    (void)a_.transport->Send(kCoordinatorNode, Card("a"));
    return coordinator_.Got<Hello>(kA) != nullptr;
  }));
}

TEST_F(ZmqLinks, AFullQueueIsAnErrorAndMemoryIsBounded) {
  Join(a_, kA);
  Join(b_, kB);
  a_.transport->Introduce(kB, b_.transport->endpoint());
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
