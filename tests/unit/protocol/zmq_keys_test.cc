// Goal: with keys, nobody is spoken with who has not proved one that is on the list, as what he is
// on it, under an id that is his; and who is taken off the list is turned out at once.
#include <gmock/gmock.h>

#include "protocol/wire.h"
#include "protocol/zmq_gate.h"
#include "protocol/zmq_links.h"
#include "protocol/zmq_socket.h"
#include "tests/unit/protocol/zmq_nodes.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

AllowList List(const std::vector<AllowedKey>& keys) {
  std::string text;
  for (const AllowedKey& key : keys) text += LineOf(key) + "\n";
  auto list = AllowList::Parse(text);
  EXPECT_TRUE(list.ok()) << list.status();
  return *std::move(list);
}

class ZmqKeys : public ZmqLinks {
 protected:
  ZmqKeys() {
    coordinator_.transport.reset();
    Start(coordinator_, Coordinator());
  }

  ZmqOptions Coordinator() {
    return {.self = kCoordinatorNode,
            .card = {.role = Role::kCoordinator, .name = "coordinator"},
            .listen = kLoopback,
            .forwards = true,
            .members = true,
            .keys = coordinator_keys_,
            .allowed = List({{a_keys_.public_key, {Role::kWorker}, "a"},
                             {b_keys_.public_key, {Role::kWorker, Role::kEdge}, "b"}})};
  }
  ZmqOptions Options(const KeyPair& keys, Role role = Role::kWorker) {
    ZmqOptions options{.card = Card("n"),
                       .listen = kLoopback,
                       .upstreams = {coordinator_.transport->endpoint()},
                       .keys = keys,
                       .server_keys = {coordinator_keys_.public_key},
                       .allowed = List({{a_keys_.public_key, {Role::kWorker, Role::kEdge}, ""},
                                        {b_keys_.public_key, {Role::kWorker, Role::kEdge}, ""}})};
    options.card.role = role;
    ChooseId(options, random_);
    return options;
  }
  Hello CardOf(Role role = Role::kWorker) {
    Hello card = Card("n");
    card.role = role;
    return card;
  }
  // Says Hello until the coordinator has it, or has refused it. The coordinator is the one that
  // waits in between: ZeroMQ treats messages that were waited for in another way.
  bool SaysHello(Node& node, Role role = Role::kWorker) {
    Until({&coordinator_, &node}, [&] {
      (void)node.transport->Send(kCoordinatorNode, CardOf(role));
      return coordinator_.Got<Hello>(node.transport->self()) != nullptr ||
             node.Got<Goodbye>(kCoordinatorNode) != nullptr;
    });
    return coordinator_.Got<Hello>(node.transport->self()) != nullptr;
  }
  void JoinWithKeys(Node& node, const KeyPair& keys) {
    Start(node, Options(keys));
    ASSERT_TRUE(SaysHello(node));
    ASSERT_TRUE(coordinator_.transport->Send(node.transport->self(), Welcome{}).ok());
    ASSERT_TRUE(
        Until({&node, &coordinator_}, [&] { return node.transport->UpstreamStatus().ok(); }));
  }
  // What stands between a node and its coordinator once it no longer changes.
  std::string WhyNot(Node& node, const std::string& awaited) {
    Until({&node, &coordinator_}, [&] {
      return Message(node.transport->UpstreamStatus()).find(awaited) != std::string::npos;
    });
    return Message(node.transport->UpstreamStatus());
  }
  const ZmqCounters& counters() const { return coordinator_.transport->counters(); }

  SystemRandom random_;
  const KeyPair coordinator_keys_ = NewKeyPair();
  const KeyPair a_keys_ = NewKeyPair();
  const KeyPair b_keys_ = NewKeyPair();
};

TEST_F(ZmqKeys, NodesOfTheListJoinAndSpeakDirectlyAndThroughTheCoordinator) {
  JoinWithKeys(a_, a_keys_);
  JoinWithKeys(b_, b_keys_);
  const NodeId a = a_.transport->self(), b = b_.transport->self();
  EXPECT_EQ(coordinator_.Got<Hello>(a)->key, a_keys_.public_key) << "the loop knows whose id it is";
  ASSERT_TRUE(a_.transport->Send(b, Frame(2)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(a) != nullptr; }));

  a_.transport->Introduce({b, b_.transport->endpoint(), b_keys_.public_key});
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(b); }));
  b_.got.clear();
  ASSERT_TRUE(a_.transport->Send(b, Frame(3)).ok());
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return b_.Got<Activation>(a) != nullptr; }));
  const Rows& rows = b_.Got<Activation>(a)->rows;
  for (int i = 0; i < 3 * kWidth; ++i) ASSERT_EQ(rows.data()[i], static_cast<float>(i));
  EXPECT_EQ(counters().forwarded, 1u);
  // Counted as it stands on the stream: 33 bytes of CURVE and ZeroMQ's header for each part.
  for (const LinkCounters& link : a_.transport->Links()) {
    if (link.to != b) continue;
    EXPECT_EQ(link.frame_bytes, 2 * (128 + 33 + 2) + (2 + 3) * kWidth * 4 + 2 * (33 + 9));
  }
}

TEST_F(ZmqKeys, AKeyThatIsNotOnTheListIsTold) {
  Start(a_, Options(NewKeyPair()));
  EXPECT_THAT(WhyNot(a_, "allow-list"), HasSubstr("this node's key is not on its allow-list"));
  EXPECT_GE(counters().not_allowed, 1u);
  EXPECT_TRUE(coordinator_.got.empty());
}

TEST_F(ZmqKeys, AKeyThatIsPutOnTheListLaterJoinsWithoutARestart) {
  const KeyPair later = NewKeyPair();
  Start(a_, Options(later));
  ASSERT_THAT(WhyNot(a_, "allow-list"), HasSubstr("allow-list"));
  coordinator_.transport->Allow(List({{later.public_key, {Role::kWorker}, ""}}));
  EXPECT_TRUE(SaysHello(a_));
}

TEST_F(ZmqKeys, WhoeverListensWithAnotherKeyIsNotSpokenWith) {
  ZmqOptions options = Options(a_keys_);
  options.server_keys = {NewKeyPair().public_key};
  Start(a_, options);
  EXPECT_THAT(WhyNot(a_, "public key"), HasSubstr("its public key is not the one that was given"));
}

TEST_F(ZmqKeys, EveryKeyThatTheCoordinatorMayHaveIsTried) {
  ZmqOptions options = Options(a_keys_);
  options.server_keys = {NewKeyPair().public_key, coordinator_keys_.public_key};
  Start(a_, options);
  EXPECT_TRUE(SaysHello(a_));
}

TEST_F(ZmqKeys, ANodeWithoutKeysAndOneWithAreToldOfEachOther) {
  Start(a_, {.self = kA, .card = Card("a"), .upstreams = {coordinator_.transport->endpoint()}});
  EXPECT_THAT(WhyNot(a_, "--keys"),
              HasSubstr("it wants keys: one of the two has keys and the other has none"));
  EXPECT_TRUE(Until({&a_, &coordinator_}, [&] { return !a_.transport->TurnedAway().ok(); }))
      << "whoever waits need not wait on";

  Node open;  // and the other way round
  Start(open, {.self = kCoordinatorNode,
               .card = {.role = Role::kCoordinator, .name = "coordinator"},
               .listen = kLoopback,
               .members = true});
  ZmqOptions options = Options(b_keys_);
  options.upstreams = {open.transport->endpoint()};
  Start(b_, options);
  EXPECT_THAT(WhyNot(b_, "--keys"),
              HasSubstr("it has no keys: one of the two has keys and the other has none"));
}

TEST_F(ZmqKeys, AnEdgesKeyCannotPoseAsAWorker) {
  coordinator_.transport->Allow(List({{a_keys_.public_key, {Role::kEdge}, ""}}));
  Start(a_, Options(a_keys_));
  EXPECT_FALSE(SaysHello(a_));
  EXPECT_THAT(a_.Reason(kCoordinatorNode), HasSubstr("key is not allowed as worker"));
  EXPECT_GE(counters().wrong_roles, 1u);
  EXPECT_TRUE(coordinator_.got.empty());
}

TEST_F(ZmqKeys, AnIdOfAnotherKeyIsRefusedAlsoWhenItsNodeIsGone) {
  JoinWithKeys(a_, a_keys_);
  const NodeId a = a_.transport->self();
  const uint64_t instance = coordinator_.Got<Hello>(a)->instance;
  for (const bool gone : {false, true}) {
    SCOPED_TRACE(gone);
    if (gone) a_.transport.reset();
    ZmqOptions options = Options(b_keys_);
    options.self = a;
    options.card.instance = instance;
    Start(b_, options);
    coordinator_.got.clear();
    b_.got.clear();
    EXPECT_FALSE(SaysHello(b_));
    EXPECT_THAT(b_.Reason(kCoordinatorNode), HasSubstr("is not one of this key's"));
    EXPECT_GE(counters().forged_ids, gone ? 2u : 1u);
  }
}

TEST_F(ZmqKeys, ARevokedKeysNextFrameOnItsOpenConnectionIsRefused) {
  JoinWithKeys(a_, a_keys_);
  JoinWithKeys(b_, b_keys_);
  const NodeId a = a_.transport->self(), b = b_.transport->self();
  a_.transport->Introduce({b, b_.transport->endpoint(), b_keys_.public_key});
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(b); }));
  ASSERT_TRUE(a_.transport->Send(b, Frame(1)).ok());
  ASSERT_TRUE(Until({&a_, &b_}, [&] { return b_.Got<Activation>(a) != nullptr; }));

  b_.got.clear();
  // On its way already when the list changes: what is read after the change is refused.
  ASSERT_TRUE(a_.transport->Send(b, Frame(1)).ok());
  b_.transport->Allow(List({{b_keys_.public_key, {Role::kWorker}, ""}}));
  EXPECT_FALSE(b_.transport->IsDirect(a));
  ASSERT_TRUE(Until({&a_, &b_}, [&] { return a_.Got<Goodbye>(b) != nullptr; }));
  EXPECT_THAT(a_.Reason(b), HasSubstr("not on the allow-list any more"));
  const Time start = clock_.Now();
  Until({&a_, &b_}, [&] { return clock_.Now() - start > milliseconds(300); });
  EXPECT_EQ(b_.Got<Activation>(a), nullptr);
  ASSERT_NE(b_.Got<Goodbye>(a), nullptr) << "the loop hears that the node is gone";
  EXPECT_GE(b_.transport->counters().revoked, 1u);
}

TEST_F(ZmqKeys, ARevokedNodeThatWasDialledIsLeftByThoseWhoHaveNoListToo) {
  JoinWithKeys(b_, b_keys_);
  const NodeId b = b_.transport->self();
  ZmqOptions no_list = Options(a_keys_);
  no_list.listen = "";
  no_list.allowed = {};
  Start(a_, no_list);
  ASSERT_TRUE(SaysHello(a_));
  const NodeId a = a_.transport->self();
  ASSERT_TRUE(coordinator_.transport->Send(a, Welcome{}).ok());
  a_.transport->Introduce({b, b_.transport->endpoint(), b_keys_.public_key});
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(b); }));

  coordinator_.transport->Allow(List({{a_keys_.public_key, {Role::kWorker}, ""}}));
  // B itself takes no notice: it is not asked.
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] { return a_.Got<Goodbye>(b) != nullptr; }));
  EXPECT_FALSE(a_.transport->IsDirect(b));
  b_.got.clear();
  (void)a_.transport->Send(b, Frame(1));
  ASSERT_TRUE(b_.transport->Send(a, Frame(1)).ok());
  const Time start = clock_.Now();
  Until({&a_, &b_, &coordinator_}, [&] { return clock_.Now() - start > milliseconds(300); });
  EXPECT_EQ(b_.Got<Activation>(a), nullptr);
  EXPECT_EQ(a_.Got<Activation>(b), nullptr);
}

TEST_F(ZmqKeys, ANodeThatWasDialledIsLeftWhenTheListOfTheOneWhoDialledLosesIt) {
  JoinWithKeys(a_, a_keys_);
  JoinWithKeys(b_, b_keys_);
  const NodeId b = b_.transport->self();
  a_.transport->Introduce({b, b_.transport->endpoint(), b_keys_.public_key});
  ASSERT_TRUE(Until({&a_, &coordinator_, &b_}, [&] { return a_.transport->IsDirect(b); }));
  a_.transport->Allow(List({{a_keys_.public_key, {Role::kWorker}, ""}}));
  EXPECT_FALSE(a_.transport->IsDirect(b));
}

TEST_F(ZmqKeys, ARelayCannotSpeakToTheCoordinatorInAMembersName) {
  JoinWithKeys(b_, b_keys_);
  const NodeId b = b_.transport->self();
  coordinator_.transport->Allow(
      List({{a_keys_.public_key, {Role::kRelay}, ""}, {b_keys_.public_key, {Role::kWorker}, ""}}));
  ZmqContext context;
  const auto socket = *ZmqSocket::Dial(context, coordinator_.transport->endpoint(), &a_keys_,
                                       coordinator_keys_.public_key);
  WireWriter writer;
  Hello hello = CardOf(Role::kRelay);
  hello.key = a_keys_.public_key;
  hello.instance = 77;
  const NodeId relay = NodeIdOf(hello.key, hello.instance);
  const auto say = [&](NodeId from, const AnyMessage& message) {
    const auto words = writer.Write(from, kCoordinatorNode, message);
    while (socket->Send(0, words, {}) != SendOutcome::kSent) (void)coordinator_.transport->Poll();
  };
  say(relay, hello);
  ASSERT_TRUE(Until({&coordinator_}, [&] { return coordinator_.transport->IsDirect(relay); }));
  coordinator_.got.clear();
  say(b, Goodbye{Unavailable("I am gone")});
  say(b, NodeStatus{});
  ASSERT_TRUE(Until({&coordinator_}, [&] { return counters().impostors == 2; }));
  EXPECT_EQ(coordinator_.Got<Goodbye>(b), nullptr);
  EXPECT_EQ(coordinator_.Got<NodeStatus>(b), nullptr);
}

TEST_F(ZmqKeys, ANodeStaysWhatItCameAs) {
  JoinWithKeys(b_, b_keys_);  // whose key may be worker and edge
  b_.got.clear();
  ASSERT_TRUE(Until({&coordinator_, &b_}, [&] {
    (void)b_.transport->Send(kCoordinatorNode, CardOf(Role::kEdge));
    return b_.Got<Goodbye>(kCoordinatorNode) != nullptr;
  }));
  EXPECT_THAT(b_.Reason(kCoordinatorNode), HasSubstr("this node came as worker"));
  // Those that it said as a worker may still be on their way.
  for (const Incoming& incoming : coordinator_.got) {
    const auto* hello = std::get_if<Hello>(&incoming.message);
    EXPECT_TRUE(hello == nullptr || hello->role == Role::kWorker);
  }
}

TEST_F(ZmqKeys, OneKeyHasNoMoreThanItsShareOfLinks) {
  std::vector<Node> nodes(kLinksPerKeyMax + 1);
  for (size_t i = 0; i < nodes.size(); ++i) {
    ZmqOptions options = Options(a_keys_);
    options.listen = "";
    Start(nodes[i], options);
    EXPECT_EQ(SaysHello(nodes[i]), i < kLinksPerKeyMax) << i;
  }
  EXPECT_THAT(nodes.back().Reason(kCoordinatorNode), HasSubstr("64 links already"));
  JoinWithKeys(b_, b_keys_);  // another key is not kept out
}

TEST_F(ZmqKeys, AMemberWhoseKeyIsRevokedIsNoMemberAnyMore) {
  JoinWithKeys(a_, a_keys_);
  const NodeId a = a_.transport->self();
  coordinator_.transport->Allow(AllowList());
  ASSERT_TRUE(Until({&a_, &coordinator_}, [&] {
    return coordinator_.Got<Goodbye>(a) != nullptr &&
           absl::IsPermissionDenied(a_.transport->UpstreamStatus());
  }));
  EXPECT_FALSE(absl::IsNotFound(a_.transport->Send(kCoordinatorNode, NodeStatus{})));
  coordinator_.got.clear();
  const Time start = clock_.Now();
  Until({&a_, &coordinator_}, [&] { return clock_.Now() - start > milliseconds(200); });
  EXPECT_TRUE(coordinator_.got.empty());
}

TEST_F(ZmqKeys, ANodeIsNotDialledWithoutItsKeyAndNotOnceAnotherAnswersThere) {
  JoinWithKeys(a_, a_keys_);
  JoinWithKeys(b_, b_keys_);
  const NodeId b = b_.transport->self();
  for (const PublicKey& key : {PublicKey{}, NewKeyPair().public_key}) {
    a_.transport->Introduce({b, b_.transport->endpoint(), key});
    const Time start = clock_.Now();
    Until({&a_, &b_, &coordinator_}, [&] { return clock_.Now() - start > seconds(1); });
    EXPECT_FALSE(a_.transport->IsDirect(b));
  }
}

TEST_F(ZmqKeys, ACrowdWithoutKeysDoesNotKeepANodeOut) {
  std::vector<std::unique_ptr<ZmqContext>> contexts;
  std::vector<std::unique_ptr<ZmqSocket>> crowd;
  const KeyPair unknown = NewKeyPair();
  for (int i = 0; i < 50; ++i) {
    contexts.push_back(std::make_unique<ZmqContext>());
    auto socket = ZmqSocket::Dial(*contexts.back(), coordinator_.transport->endpoint(), &unknown,
                                  coordinator_keys_.public_key);
    ASSERT_TRUE(socket.ok());
    crowd.push_back(*std::move(socket));
  }
  JoinWithKeys(a_, a_keys_);
  EXPECT_TRUE(Until({&coordinator_}, [&] { return counters().not_allowed >= 50; }));
  crowd.clear();
}

}  // namespace
}  // namespace mortar
