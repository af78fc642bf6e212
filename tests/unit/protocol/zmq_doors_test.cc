// Goal: a listener changes its key, and whoever has a link there keeps it: he is told, moves to the
// other door under his id, and nothing of what was sent is lost. Nobody but the listener himself
// can send him anywhere.
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/grant.h"
#include "tests/unit/protocol/zmq_nodes.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class ZmqDoors : public ZmqLinks {
 protected:
  ZmqDoors() {
    coordinator_.transport.reset();
    Start(coordinator_, {.self = kCoordinatorNode,
                         .card = {.role = Role::kCoordinator, .name = "coordinator"},
                         .listen = kLoopback,
                         .forwards = true,
                         .members = true,
                         .keys = old_,
                         .allowed = Allowed()});
    JoinWithKeys(a_, a_keys_);
    JoinWithKeys(b_, b_keys_);
    For(milliseconds(100));  // what was said too often
    hellos_ = 0;
  }
  AllowList Allowed() const {
    return *AllowList::Parse(ToHex(a_keys_.public_key) + " worker\n" + ToHex(b_keys_.public_key) +
                             " worker\n");
  }
  ZmqOptions Options(const KeyPair& keys, const std::vector<PublicKey>& servers) {
    ZmqOptions options{.card = Card("n"),
                       .upstreams = {coordinator_.transport->endpoint()},
                       .keys = keys,
                       .server_keys = servers};
    ChooseId(options, random_);
    return options;
  }
  bool Joins(Node& node) {
    const NodeId id = node.transport->self();
    coordinator_.got.clear();
    const Time start = clock_.Now();
    return Until({&coordinator_, &a_, &b_, &node},
                 [&] {
                   (void)node.transport->Send(kCoordinatorNode, Card("n"));
                   if (coordinator_.Got<Hello>(id) == nullptr)
                     return clock_.Now() - start > milliseconds(2500);
                   (void)coordinator_.transport->Send(id, Welcome{});
                   return node.transport->UpstreamStatus().ok();
                 }) &&
           node.transport->UpstreamStatus().ok();
  }
  void JoinWithKeys(Node& node, const KeyPair& keys) {
    Start(node, Options(keys, {old_.public_key}));
    ASSERT_TRUE(Until({&coordinator_, &node}, [&] {
      (void)node.transport->Send(kCoordinatorNode, Card("n"));
      if (coordinator_.Got<Hello>(node.transport->self()) == nullptr) return false;
      (void)coordinator_.transport->Send(node.transport->self(), Welcome{});
      return node.transport->UpstreamStatus().ok();
    }));
  }
  // The coordinator's loop welcomes whoever says Hello; frames cross from A to B all the while. B
  // is slow and A says more before it is welcomed, so that some are always on their way.
  bool Stream(const std::function<bool()>& done) {
    return Until({&coordinator_, &a_}, [&] {
      for (int i = 0; i < 8 && sends_ && sent_ < came_ + 64; ++i) {
        Activation frame = Frame(1);
        frame.envelope.step = sent_ + 1;
        if (a_.transport->Send(b_.transport->self(), std::move(frame)).ok()) ++sent_;
      }
      TakeAtCoordinator();
      if (clock_.Now() - b_looked_ > milliseconds(20)) {
        b_looked_ = clock_.Now();
        while (auto incoming = b_.transport->Poll()) b_.got.push_back(*std::move(incoming));
      }
      for (const Incoming& incoming : std::exchange(b_.got, {})) {
        if (std::holds_alternative<Goodbye>(incoming.message)) ++goodbyes_;
        if (std::holds_alternative<Activation>(incoming.message)) ++came_;
      }
      for (const Incoming& incoming : std::exchange(a_.got, {})) {
        if (std::holds_alternative<Goodbye>(incoming.message)) ++goodbyes_;
        if (const auto* doors = std::get_if<Doors>(&incoming.message)) doors_ = *doors;
      }
      return done();
    });
  }
  void TakeAtCoordinator() {
    for (const Incoming& incoming : std::exchange(coordinator_.got, {})) {
      if (std::holds_alternative<Goodbye>(incoming.message)) ++goodbyes_;
      if (!std::holds_alternative<Hello>(incoming.message)) continue;
      ++hellos_;
      (void)coordinator_.transport->Send(incoming.from, Welcome{});
    }
  }
  void For(milliseconds time) {
    const Time start = clock_.Now();
    Stream([&] { return clock_.Now() - start > time; });
  }

  SystemRandom random_;
  const KeyPair old_ = NewKeyPair(), new_ = NewKeyPair();
  const KeyPair a_keys_ = NewKeyPair(), b_keys_ = NewKeyPair();
  uint64_t sent_ = 0, came_ = 0, hellos_ = 0, goodbyes_ = 0;
  bool sends_ = true;
  Doors doors_;
  Time b_looked_{};
};

TEST_F(ZmqDoors, FramesGoOnThroughAChangeOfKeyAndNoneIsLost) {
  const NodeId a = a_.transport->self();
  For(milliseconds(50));
  coordinator_.transport->TakeKeys({.own = old_, .next = NextKeys{kLoopback, new_}});
  ASSERT_TRUE(Stream([&] { return hellos_ == 2; })) << "both move";
  ASSERT_EQ(doors_.doors.size(), 2u);
  EXPECT_EQ(doors_.doors[0].key, new_.public_key) << "the new one is preferred";
  EXPECT_EQ(doors_.doors[0].signer, Signer(new_).key()) << "whose routes are good from now on";
  EXPECT_EQ(doors_.doors[1].signer, Signer(old_).key());
  For(milliseconds(100));

  coordinator_.transport->TakeKeys({.own = new_, .next = {}});
  ASSERT_TRUE(Stream([&] { return hellos_ == 4; })) << "both move back to its first endpoint";
  ASSERT_EQ(doors_.doors.size(), 1u);
  EXPECT_EQ(doors_.doors[0].endpoint, coordinator_.transport->endpoint());
  EXPECT_EQ(doors_.doors[0].key, new_.public_key);
  For(milliseconds(4500));  // until all that was replaced is closed
  EXPECT_EQ(a_.transport->self(), a) << "it stays one node";
  EXPECT_EQ(goodbyes_, 0u) << "nobody was missed";
  EXPECT_EQ(coordinator_.transport->counters().links_lost, 0u);
  EXPECT_GT(sent_, 100u);
  sends_ = false;
  EXPECT_TRUE(Stream([&] { return came_ == sent_; })) << came_ << " of " << sent_;
}

TEST_F(ZmqDoors, AKeyThatIsTakenBackBeforeItIsTheOnlyOneLeavesTheOldOne) {
  coordinator_.transport->TakeKeys({.own = old_, .next = NextKeys{kLoopback, new_}});
  ASSERT_TRUE(Stream([&] { return hellos_ == 2; }));
  For(milliseconds(100));
  coordinator_.transport->TakeKeys({.own = old_, .next = {}});
  ASSERT_TRUE(Stream([&] { return !a_.transport->UpstreamStatus().ok(); }));
  ASSERT_TRUE(Stream([&] {  // as their loops do when they miss the coordinator
    for (Node* node : {&a_, &b_}) {
      if (node->transport->UpstreamStatus().ok()) continue;
      (void)node->transport->Send(kCoordinatorNode, Card("n"));
    }
    return a_.transport->UpstreamStatus().ok() && b_.transport->UpstreamStatus().ok();
  }));
  sent_ = came_;  // what was on its way is lost with the link
  const uint64_t came = came_;
  ASSERT_TRUE(Stream([&] { return came_ > came + 100; })) << "and speak again";
}

TEST_F(ZmqDoors, WhoKnowsTheOldKeyAloneGetsInUntilItEnds) {
  coordinator_.transport->TakeKeys({.own = old_, .next = NextKeys{kLoopback, new_}});
  Node late;
  Start(late, Options(a_keys_, {old_.public_key}));
  EXPECT_TRUE(Joins(late));
  coordinator_.transport->TakeKeys({.own = new_, .next = {}});
  Node too_late;
  Start(too_late, Options(a_keys_, {old_.public_key}));
  EXPECT_FALSE(Joins(too_late));
  EXPECT_THAT(Message(too_late.transport->UpstreamStatus()), HasSubstr("public key is not"));
  EXPECT_FALSE(too_late.transport->TurnedAway().ok());
  Node knows;
  Start(knows, Options(a_keys_, {new_.public_key}));
  EXPECT_TRUE(Joins(knows));
}

TEST_F(ZmqDoors, AMemberCannotSendAnotherToADoorOfItsOwn) {
  const uint64_t before = a_.transport->counters().impostors;
  const Doors trap{{{"tcp://127.0.0.1:9", NewKeyPair().public_key, Signer(b_keys_).key()}}};
  ASSERT_TRUE(b_.transport->Send(a_.transport->self(), trap).ok());
  ASSERT_TRUE(Stream([&] { return a_.transport->counters().impostors > before; }));
  EXPECT_TRUE(doors_.doors.empty()) << "its loop, which would trust the signer, does not hear it";
  EXPECT_EQ(hellos_, 0u);
}

TEST_F(ZmqDoors, ADoorThatCannotBeReachedIsNoReasonToLeaveTheOldOne) {
  const Doors away{{{"tcp://127.0.0.1:1", new_.public_key, {}}, {"nonsense", new_.public_key, {}}}};
  ASSERT_TRUE(coordinator_.transport->Send(a_.transport->self(), away).ok());
  ASSERT_TRUE(Stream([&] { return doors_.doors.size() == 2; }));
  For(milliseconds(500));
  EXPECT_TRUE(a_.transport->UpstreamStatus().ok());
  EXPECT_EQ(goodbyes_, 0u);
  sends_ = false;
  EXPECT_TRUE(Stream([&] { return came_ == sent_; })) << came_ << " of " << sent_;
}

TEST_F(ZmqDoors, ANodeOfTwoCoordinatorsMovesAtTheOneThatChangesItsKeyAndStaysAtTheOther) {
  const KeyPair other_keys = NewKeyPair(), c_keys = NewKeyPair();
  Node other, c;
  const AllowList allowed = *AllowList::Parse(ToHex(c_keys.public_key) + " worker\n");
  Start(other, {.self = CoordinatorNode(1),
                .card = {.role = Role::kCoordinator, .name = "other"},
                .listen = kLoopback,
                .forwards = true,
                .members = true,
                .keys = other_keys,
                .allowed = allowed});
  coordinator_.transport->Allow(allowed);
  ZmqOptions options = Options(c_keys, {old_.public_key, other_keys.public_key});
  options.upstreams.push_back(other.transport->endpoint());
  Start(c, options);
  const NodeId id = c.transport->self();
  const auto joins = [&](Node& at, NodeId coordinator) {
    return Until({&coordinator_, &other, &c}, [&] {
      if (c.transport->IsDirect(coordinator)) return true;
      (void)c.transport->Send(coordinator, Card("n"));
      if (at.Got<Hello>(id) != nullptr) (void)at.transport->Send(id, Welcome{});
      return false;
    });
  };
  ASSERT_TRUE(joins(coordinator_, kCoordinatorNode));
  ASSERT_TRUE(joins(other, CoordinatorNode(1)));

  coordinator_.got.clear();
  other.got.clear();
  c.got.clear();
  other.transport->TakeKeys({.own = other_keys, .next = NextKeys{kLoopback, new_}});
  ASSERT_TRUE(Until({&coordinator_, &other, &c}, [&] { return other.Got<Hello>(id) != nullptr; }))
      << "under its id, at the other door";
  (void)other.transport->Send(id, Welcome{});
  const Time start = clock_.Now();
  Until({&coordinator_, &other, &c}, [&] { return clock_.Now() - start > milliseconds(1500); });
  EXPECT_EQ(coordinator_.Got<Hello>(id), nullptr) << "it stays where nothing changed";
  EXPECT_EQ(c.Got<Goodbye>(CoordinatorNode(0)), nullptr);
  EXPECT_EQ(c.Got<Goodbye>(CoordinatorNode(1)), nullptr);
  ASSERT_NE(c.Got<Doors>(CoordinatorNode(1)), nullptr) << "its loop is told whose routes are good";
  EXPECT_EQ(c.Got<Doors>(CoordinatorNode(0)), nullptr);
  EXPECT_EQ(other.transport->counters().links_lost, 0u);
  other.transport->TakeKeys({.own = new_, .next = {}});
  other.got.clear();
  ASSERT_TRUE(Until({&coordinator_, &other, &c}, [&] { return other.Got<Hello>(id) != nullptr; }));
  EXPECT_TRUE(c.transport->IsDirect(CoordinatorNode(0)));
}

TEST_F(ZmqDoors, ANodeIsTurnedAwayOnceAllItsCoordinatorsHaveDoneSo) {
  Node node;
  ZmqOptions options = Options(a_keys_, {new_.public_key});
  Node open;
  Start(open, {.self = CoordinatorNode(1),
               .card = {.role = Role::kCoordinator, .name = "other"},
               .listen = kLoopback,
               .members = true,
               .keys = new_,
               .allowed = Allowed()});
  options.upstreams.push_back(open.transport->endpoint());
  Start(node, options);
  const Time start = clock_.Now();
  Until({&coordinator_, &open, &node}, [&] { return clock_.Now() - start > milliseconds(2500); });
  EXPECT_TRUE(node.transport->TurnedAway().ok()) << "the other one may welcome it";

  Node stranger;
  options.server_keys = {NewKeyPair().public_key};
  Start(stranger, options);
  EXPECT_TRUE(Until({&coordinator_, &open, &stranger},
                    [&] { return !stranger.transport->TurnedAway().ok(); }));
  EXPECT_THAT(Message(stranger.transport->TurnedAway()), HasSubstr("nor that at"));
}

// Accepts, as the kernel does for a process that stands still, and says nothing.
TEST_F(ZmqDoors, AListenerThatStandsStillIsNotToldAsOneWithAnotherKey) {
  const int silent = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(silent, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(silent, 8), 0);
  ASSERT_EQ(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ZmqOptions options = Options(a_keys_, {old_.public_key});
  options.upstreams = {"tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port))};
  Node node;
  Start(node, options);
  const Time start = clock_.Now();
  Until({&node}, [&] { return clock_.Now() - start > milliseconds(6500); });
  const std::string why = Message(node.transport->UpstreamStatus());
  EXPECT_THAT(why, HasSubstr("it stands still"));
  EXPECT_THAT(why, HasSubstr("a wrong public key would be refused at once"));
  EXPECT_TRUE(node.transport->TurnedAway().ok()) << "it may go on";
  close(silent);
}

}  // namespace
}  // namespace mortar
