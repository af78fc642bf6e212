// Goal: a worker takes a session's key from the edge that its coordinator granted the route, and
// from nobody else; and heeds the end of a session from that edge alone. A real worker's loop; its
// coordinator and its edges are played by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "protocol/grant.h"
#include "protocol/local_transport.h"
#include "worker/loop.h"

namespace mortar {
namespace {

constexpr NodeId kWorker{70};
constexpr NodeId kEdge{50};
constexpr NodeId kOtherEdge{51};

class WorkerGrants : public testing::Test {
 protected:
  WorkerGrants() {
    options_.name = "w";
    options_.model = {.name = "m", .digest = {}, .n_layers = 6, .n_embd = 32};
    worker_ = std::make_unique<Worker>(options_,
                                       Worker::Parts{*transport_, clock_, jobs_, log_, {}, &keys_});
    (void)coordinator_->Send(kWorker, Welcome{.signer = signer_.key()});
    Turn();
    grant_.session.bytes[0] = 9;
    grant_.edge = kEdge;
    grant_.edge_key = edge_keys_.public_key;
    grant_.model = options_.model;
    // It hosts none yet, and this is what it checks.
    grant_.hops = {{.node = kWorker, .name = "w", .layers = {}, .key = keys_.public_key}};
    grant_.positions_max = 100;
    grant_.expires = clock_.Calendar() + std::chrono::hours(1);
    signer_.Sign(grant_);
  }

  void Turn() {
    for (int i = 0; i < 4; ++i) worker_->Step();
  }
  // What an edge with `keys` shows of a grant, as if the worker had asked for it at step 3.
  AnyMessage OpenOf(const RouteGrant& grant, const KeyPair& keys) {
    const auto route = NewRouteKeys(grant, keys);
    EXPECT_TRUE(route.ok()) << route.status();
    session_ = route->session;
    AnyMessage open = Open{.session = grant.session,
                           .key = route->for_hops.at(0).key,
                           .grant = route->shown,
                           .epoch = 2,
                           .step = 3};
    SealMessage(route->for_hops.at(0).seal, open);
    return open;
  }
  void Say(Transport& from, AnyMessage message) {
    ASSERT_TRUE(from.Send(kWorker, std::move(message)).ok());
    Turn();
  }
  // What the worker said to an edge, and is sealed with the key of the session that was shown last.
  template <typename Message>
  std::optional<Message> Answer(Transport& to) {
    while (auto incoming = to.Poll()) {
      if (!std::holds_alternative<Message>(incoming->message)) continue;
      EXPECT_TRUE(CheckSeal(RowsKeyOf(session_, kWorker), incoming->message).ok());
      return std::get<Message>(incoming->message);
    }
    return std::nullopt;
  }
  const WorkerState& state() const { return worker_->state(); }
  void ExpectRefused(const char* what, uint64_t bad_grants, uint64_t broken_seals) {
    SCOPED_TRACE(what);
    EXPECT_EQ(state().counters.bad_grants, bad_grants);
    EXPECT_EQ(state().counters.broken_seals, broken_seals);
    EXPECT_EQ(state().opened.size(), 0u);
    EXPECT_FALSE(Answer<NeedPrefix>(*edge_).has_value());
  }

  const KeyPair keys_ = NewKeyPair(), edge_keys_ = NewKeyPair(), other_keys_ = NewKeyPair();
  const Signer signer_{NewKeyPair()};
  ManualClock clock_;
  Logger log_{LogLevel::kOff, LogFormat::kText};
  PumpedJobs jobs_;
  LocalNetwork network_;
  std::unique_ptr<Transport> transport_ = network_.Attach(kWorker);
  std::unique_ptr<Transport> coordinator_ = network_.Attach(kCoordinatorNode);
  std::unique_ptr<Transport> edge_ = network_.Attach(kEdge);
  std::unique_ptr<Transport> other_ = network_.Attach(kOtherEdge);
  WorkerOptions options_;
  std::unique_ptr<Worker> worker_;
  RouteGrant grant_;
  SessionKey session_;
};

TEST_F(WorkerGrants, TheEdgeOfAGrantIsServedAndHearsWhatItIsSealedFor) {
  Say(*edge_, OpenOf(grant_, edge_keys_));
  EXPECT_EQ(state().opened.size(), 1u);
  const auto need = Answer<NeedPrefix>(*edge_);
  ASSERT_TRUE(need.has_value());
  EXPECT_EQ(need->epoch, 2u);
  EXPECT_EQ(need->step, 3u);
  EXPECT_EQ(state().opened.Find(grant_.session)->quota.positions_max, 100);
}

TEST_F(WorkerGrants, WithoutItsCoordinatorsSignatureNothingIsTaken) {
  RouteGrant grant = grant_;
  grant.signature.reset();
  AnyMessage open = OpenOf(grant, edge_keys_);
  Say(*edge_, std::move(open));
  ExpectRefused("unsigned", 1, 0);

  grant = grant_;
  Signer(NewKeyPair()).Sign(grant);
  Say(*edge_, OpenOf(grant, edge_keys_));
  ExpectRefused("of another coordinator", 2, 0);

  grant = grant_;
  grant.positions_max = 1'000'000;
  Say(*edge_, OpenOf(grant, edge_keys_));
  ExpectRefused("another quota than was granted", 3, 0);

  grant = grant_;
  grant.session.bytes[1] = 1;
  Say(*edge_, OpenOf(grant, edge_keys_));
  ExpectRefused("another session than was granted", 4, 0);
}

TEST_F(WorkerGrants, AGrantOpensNoOtherSessionThanItsOwn) {
  const auto route = NewRouteKeys(grant_, edge_keys_);
  ASSERT_TRUE(route.ok());
  AnyMessage open =
      Open{.session = {}, .key = route->for_hops.at(0).key, .grant = route->shown, .step = 3};
  SealMessage(route->for_hops.at(0).seal, open);
  Say(*edge_, std::move(open));
  ExpectRefused("a session that nobody granted, sealed by the edge itself", 1, 0);
}

TEST_F(WorkerGrants, ASessionEndsWithItsGrantAndNoLaterThanAnyGrantLives) {
  Say(*edge_, OpenOf(grant_, edge_keys_));
  EXPECT_EQ(state().opened.Find(grant_.session)->quota.until,
            clock_.Now() + std::chrono::hours(1) + kClockSkewMax);
  RouteGrant longer = grant_;
  longer.session.bytes[0] = 10;
  longer.expires += std::chrono::hours(24 * 365);  // of a clock that is wrong
  signer_.Sign(longer);
  Say(*edge_, OpenOf(longer, edge_keys_));
  EXPECT_EQ(state().opened.Find(longer.session)->quota.until,
            clock_.Now() + kRouteLifetime + kClockSkewMax);
}

TEST_F(WorkerGrants, AnEdgeInGoodFaithHearsThatItNeedsAnotherRoute) {
  clock_.Advance(std::chrono::hours(2));
  Say(*edge_, OpenOf(grant_, edge_keys_));
  const auto need = Answer<NeedRoute>(*edge_);
  ASSERT_TRUE(need.has_value());
  EXPECT_EQ(need->epoch, 2u);
  ExpectRefused("expired", 1, 0);

  RouteGrant grant = grant_;
  grant.expires = clock_.Calendar() + std::chrono::hours(1);
  grant.hops[0].layers = {2, 4};
  signer_.Sign(grant);
  Say(*edge_, OpenOf(grant, edge_keys_));
  EXPECT_TRUE(Answer<NeedRoute>(*edge_).has_value());
  ExpectRefused("for layers that it does not host", 2, 0);
}

TEST_F(WorkerGrants, AnotherEdgesGrantIsOfNoUse) {
  Say(*other_, OpenOf(grant_, other_keys_));
  ExpectRefused("not made with the key that the grant names", 0, 1);
  // Nor when whoever has the edge's key is another node.
  Say(*other_, OpenOf(grant_, edge_keys_));
  ExpectRefused("the right key under another id", 1, 1);
  EXPECT_FALSE(other_->Poll() && Answer<NeedRoute>(*other_)) << "no answer to who is not named";
}

TEST_F(WorkerGrants, ASealThatWasChangedOnTheWayOpensNothing) {
  AnyMessage open = OpenOf(grant_, edge_keys_);
  std::get<Open>(open).epoch = 3;
  Say(*edge_, std::move(open));
  ExpectRefused("an epoch that the edge did not say", 0, 1);
}

TEST_F(WorkerGrants, ASessionEndsWhenItsEdgeSaysSoAndNobodyElse) {
  Say(*edge_, OpenOf(grant_, edge_keys_));
  const SessionKey edges = RowsKeyOf(session_, kEdge);
  Say(*edge_, Cancel{grant_.session});
  EXPECT_EQ(state().counters.broken_seals, 1u) << "not sealed";
  AnyMessage cancel = Cancel{grant_.session};
  SealMessage(RowsKeyOf(NewSessionKey(), kEdge), cancel);
  Say(*edge_, cancel);
  EXPECT_EQ(state().counters.broken_seals, 2u) << "with another key";
  SealMessage(edges, cancel);
  Say(*other_, cancel);
  EXPECT_EQ(state().counters.broken_seals, 3u) << "the edge's own, from another edge";
  AnyMessage end = End{grant_.session};
  SealMessage(edges, end);
  std::get<End>(end).session.bytes[1] ^= 1;
  Say(*edge_, std::move(end));
  EXPECT_EQ(state().counters.unopened, 1u) << "of a session that is not here";
  EXPECT_EQ(state().opened.size(), 1u);
  Say(*edge_, std::move(cancel));
  EXPECT_EQ(state().opened.size(), 0u);
}

TEST_F(WorkerGrants, AnEndThatOvertookItsKeyIsRememberedFromItsEdgeAlone) {
  const AnyMessage open = OpenOf(grant_, edge_keys_);
  AnyMessage cancel = Cancel{grant_.session};
  SealMessage(RowsKeyOf(session_, kEdge), cancel);
  Say(*other_, cancel);
  EXPECT_EQ(state().counters.unopened, 1u);
  Say(*edge_, open);
  EXPECT_EQ(state().opened.size(), 1u) << "another's word ends nothing";

  RouteGrant grant = grant_;
  grant.session.bytes[0] = 10;
  signer_.Sign(grant);
  const AnyMessage later = OpenOf(grant, edge_keys_);
  cancel = Cancel{grant.session};
  SealMessage(RowsKeyOf(session_, kEdge), cancel);
  Say(*edge_, cancel);
  Say(*edge_, later);
  EXPECT_EQ(state().opened.Find(grant.session), nullptr) << "its edge has ended it";
  EXPECT_EQ(state().counters.ended_session, 1u);
}

TEST_F(WorkerGrants, EndsOfSessionsWithoutAKeyAreRememberedWithinABound) {
  for (uint32_t i = 0; i < 2 * kUnknownEndsRemembered; ++i) {
    SessionId id;
    std::memcpy(id.bytes.data(), &i, sizeof i);
    Say(*edge_, Cancel{id});
  }
  EXPECT_EQ(state().ended_unopened.size(), kUnknownEndsRemembered);
  EXPECT_EQ(state().counters.unopened, 2 * kUnknownEndsRemembered);
}

TEST_F(WorkerGrants, AFloodOfKeysLeavesTheLoopAwake) {
  const AnyMessage open = OpenOf(grant_, other_keys_);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(edge_->Send(kWorker, open).ok());
  worker_->Step();
  EXPECT_LE(state().counters.broken_seals, 8u) << "one turn checks a few";
  for (int i = 0; i < 20; ++i) worker_->Step();
  EXPECT_EQ(state().counters.broken_seals, 100u) << "and all are looked at";
}

}  // namespace
}  // namespace mortar
