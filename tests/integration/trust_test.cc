// Goal: what people may trust a cluster with, over real sockets with keys. A test forges a node's
// id and gets nothing; a revoked key's next frame on its open connection is refused; a valid edge
// cannot touch another's session. Each refusal is counted under its reason.
//
// The worker is a real one; coordinator and edges are real transports whose loops the test plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "protocol/grant.h"
#include "tests/unit/protocol/zmq_nodes.h"
#include "worker/loop.h"

namespace mortar {
namespace {

using testing::HasSubstr;

class Trust : public ZmqLinks {
 protected:
  Trust() {
    coordinator_.transport.reset();
    Start(coordinator_, {.self = kCoordinatorNode,
                         .card = {.role = Role::kCoordinator, .name = "coordinator"},
                         .listen = kLoopback,
                         .forwards = true,
                         .members = true,
                         .keys = coordinator_keys_,
                         .allowed = ListOf({&worker_keys_}, {&owner_keys_, &other_keys_})});
    ZmqOptions link = OptionsOf(worker_keys_, Role::kWorker);
    link.listen = kLoopback;
    link.allowed = ListOf({}, {&owner_keys_, &other_keys_});
    Start(worker_, link);
    WorkerOptions options;
    options.name = "w";
    options.model = Model();
    loop_ = std::make_unique<Worker>(
        options, Worker::Parts{*worker_.transport, clock_, jobs_, log_, {}, &worker_keys_});
  }

  static AllowList ListOf(const std::vector<const KeyPair*>& workers,
                          const std::vector<const KeyPair*>& edges) {
    std::string text = "# a list\n";
    for (const KeyPair* pair : workers) text += ToHex(pair->public_key) + " worker\n";
    for (const KeyPair* pair : edges) text += ToHex(pair->public_key) + " edge\n";
    return *AllowList::Parse(text);
  }
  ZmqOptions OptionsOf(const KeyPair& keys, Role role) {
    ZmqOptions options{.card = Card("n"),
                       .upstreams = {coordinator_.transport->endpoint()},
                       .keys = keys,
                       .server_keys = {coordinator_keys_.public_key}};
    options.card.role = role;
    ChooseId(options, random_);
    return options;
  }
  // Turns everybody's loop until `done`; the coordinator welcomes who says Hello.
  bool Turn(const std::function<bool()>& done) {
    std::vector<Node*> nodes = {&coordinator_};
    for (Node* node : {&owner_, &other_}) {
      if (node->transport != nullptr) nodes.push_back(node);
    }
    return Until(nodes, [&] {
      loop_->Step();
      for (const Incoming& incoming : std::exchange(coordinator_.got, {})) {
        if (!std::holds_alternative<Hello>(incoming.message)) continue;
        (void)coordinator_.transport->Send(incoming.from, Welcome{.signer = signer_.key()});
      }
      return done();
    });
  }
  // An edge that has joined and reaches the worker directly.
  void Join(Node& edge, const KeyPair& keys) {
    Start(edge, OptionsOf(keys, Role::kEdge));
    Hello card = Card("n");
    card.role = Role::kEdge;
    ASSERT_TRUE(Turn([&] {
      (void)edge.transport->Send(kCoordinatorNode, card);
      return edge.transport->UpstreamStatus().ok() && !SignersOf(state().coordinators).empty();
    }));
    edge.transport->Introduce(
        {worker_.transport->self(), worker_.transport->endpoint(), worker_keys_.public_key});
    ASSERT_TRUE(Turn([&] { return edge.transport->IsDirect(worker_.transport->self()); }));
  }
  // What a coordinator grants to an edge, at a worker that hosts nothing yet.
  RouteGrant GrantTo(const Node& edge, const KeyPair& keys) {
    RouteGrant grant{.session = NewSessionId(random_),
                     .edge = edge.transport->self(),
                     .model = Model(),
                     .positions_max = 100};
    grant.edge_key = keys.public_key;
    grant.hops = {{.node = worker_.transport->self(),
                   .name = "w",
                   .layers = {},
                   .key = worker_keys_.public_key}};
    grant.expires = clock_.Calendar() + std::chrono::hours(1);
    signer_.Sign(grant);
    return grant;
  }
  AnyMessage OpenOf(const RouteGrant& grant, const KeyPair& keys) {
    const RouteKeys route = *NewRouteKeys(grant, keys);
    session_ = route.session;
    AnyMessage open =
        Open{.session = grant.session, .key = route.for_hops[0].key, .grant = route.shown};
    SealMessage(route.for_hops[0].seal, open);
    return open;
  }
  void Say(Node& edge, AnyMessage message) {
    ASSERT_TRUE(edge.transport->Send(worker_.transport->self(), std::move(message)).ok());
  }
  // A worker's reason, once it counts one more.
  bool Refuses(const std::string& reason, uint64_t times = 1) {
    return Turn([&] { return Count(reason) >= times; });
  }
  uint64_t Count(const std::string& reason) const {
    for (const auto& count :
         Joined(RefusalsOf(worker_.transport->counters()), RefusalsOf(state().counters))) {
      if (count.name == reason) return count.value;
    }
    ADD_FAILURE() << "no reason is called " << reason;
    return 0;
  }
  const WorkerState& state() const { return loop_->state(); }

  SystemRandom random_;
  const KeyPair coordinator_keys_ = NewKeyPair(), worker_keys_ = NewKeyPair();
  const KeyPair owner_keys_ = NewKeyPair(), other_keys_ = NewKeyPair();
  const Signer signer_{coordinator_keys_};
  PumpedJobs jobs_;
  Node worker_;
  std::unique_ptr<Worker> loop_;
  Node owner_, other_;
  SessionKey session_;
};

TEST_F(Trust, AForgedIdGetsNothing) {
  Join(owner_, owner_keys_);
  // Another valid edge, in the name of the first.
  ZmqOptions forged = OptionsOf(other_keys_, Role::kEdge);
  forged.self = owner_.transport->self();
  Start(other_, forged);
  other_.transport->Introduce(
      {worker_.transport->self(), worker_.transport->endpoint(), worker_keys_.public_key});
  EXPECT_TRUE(Refuses("forged_ids"));
  EXPECT_FALSE(other_.transport->IsDirect(worker_.transport->self()));
  EXPECT_TRUE(owner_.transport->IsDirect(worker_.transport->self())) << "who has the id keeps it";
}

TEST_F(Trust, AnEdgesKeyIsNoWorkersAndAnUnknownKeyIsNobodys) {
  Start(other_, OptionsOf(other_keys_, Role::kWorker));
  other_.transport->Introduce(
      {worker_.transport->self(), worker_.transport->endpoint(), worker_keys_.public_key});
  EXPECT_TRUE(Refuses("wrong_roles"));
  Start(other_, OptionsOf(NewKeyPair(), Role::kEdge));
  other_.transport->Introduce(
      {worker_.transport->self(), worker_.transport->endpoint(), worker_keys_.public_key});
  EXPECT_TRUE(Refuses("unknown_keys"));
}

TEST_F(Trust, ARevokedKeysNextFrameOnItsOpenConnectionIsRefused) {
  Join(owner_, owner_keys_);
  const RouteGrant grant = GrantTo(owner_, owner_keys_);
  Say(owner_, OpenOf(grant, owner_keys_));
  ASSERT_TRUE(Turn([&] { return state().opened.size() == 1; }));
  // A good frame, on its way when the key is revoked.
  Activation frame = Frame(1);
  frame.envelope.session = grant.session;
  frame.envelope.edge = owner_.transport->self();
  SealRows(RowsKeyOf(session_, owner_.transport->self()), frame);
  Say(owner_, std::move(frame));
  worker_.transport->Allow(ListOf({}, {&other_keys_}));
  EXPECT_TRUE(Refuses("revoked_keys"));
  EXPECT_TRUE(Turn([&] { return owner_.Got<Goodbye>(worker_.transport->self()) != nullptr; }));
  EXPECT_THAT(owner_.Reason(worker_.transport->self()),
              HasSubstr("not on the allow-list any more"));
  EXPECT_EQ(state().counters.frames + state().counters.need_route, 0u)
      << "it was not even looked at";
  EXPECT_EQ(state().opened.size(), 0u) << "and its sessions are gone";
}

TEST_F(Trust, AValidEdgeCannotTouchAnothersSession) {
  Join(owner_, owner_keys_);
  Join(other_, other_keys_);
  const RouteGrant grant = GrantTo(owner_, owner_keys_);
  Say(owner_, OpenOf(grant, owner_keys_));
  ASSERT_TRUE(Turn([&] { return state().opened.size() == 1; }));
  const SessionKey owners = session_;

  // He knows all that a relay knows: the session's id, the grant, and whose it is.
  Say(other_, Cancel{grant.session});
  EXPECT_TRUE(Refuses("broken_seals", 1));
  Say(other_, OpenOf(grant, other_keys_));
  EXPECT_TRUE(Refuses("broken_seals", 2));
  RouteGrant own = grant;
  own.edge = other_.transport->self();
  own.edge_key = other_keys_.public_key;
  Say(other_, OpenOf(own, other_keys_));
  EXPECT_TRUE(Refuses("bad_grants", 1)) << "signed for somebody else";
  Activation frame = Frame(1);
  frame.envelope.session = grant.session;
  frame.envelope.edge = owner_.transport->self();
  SealRows(RowsKeyOf(NewSessionKey(), other_.transport->self()), frame);
  Say(other_, std::move(frame));
  EXPECT_TRUE(Refuses("broken_seals", 3));

  EXPECT_EQ(state().opened.size(), 1u);
  EXPECT_EQ(state().opened.Find(grant.session)->edge, owner_.transport->self());
  AnyMessage cancel = Cancel{grant.session};
  SealMessage(RowsKeyOf(owners, owner_.transport->self()), cancel);
  Say(owner_, std::move(cancel));
  EXPECT_TRUE(Turn([&] { return state().opened.size() == 0; })) << "its owner ends it";
}

TEST_F(Trust, ReplaysAndEndsOfNobodysSessionsAreCounted) {
  Join(owner_, owner_keys_);
  const RouteGrant grant = GrantTo(owner_, owner_keys_);
  const AnyMessage open = OpenOf(grant, owner_keys_);
  Say(owner_, open);
  AnyMessage end = End{grant.session};
  SealMessage(RowsKeyOf(session_, owner_.transport->self()), end);
  Say(owner_, end);
  Say(owner_, end);
  EXPECT_TRUE(Refuses("unopened"));
  Say(owner_, open);  // a session that has ended does not come back
  EXPECT_TRUE(Refuses("ended_sessions"));
  EXPECT_EQ(state().opened.size(), 0u);
}

}  // namespace
}  // namespace mortar
