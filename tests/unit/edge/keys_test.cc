// Goal: an edge whose nodes have keys brings each hop the session's key, again with each epoch, and
// again to a hop that asks, so often and no more; what ends a session is sealed.
#include <gtest/gtest.h>

#include <vector>

#include "protocol/grant.h"
#include "tests/unit/edge/edge_tables.h"

namespace mortar {
namespace {

class EdgeKeys : public EdgeTables {
 protected:
  EdgeKeys() {
    EdgeOptions options = state_.options;
    options.sealed = true;
    SetOptions(options);
    AskForARoute();
    Route route = RouteFor(0, 1);
    for (Hop& hop : route.grant.hops) hop.key = NewKeyPair().public_key;
    keys_ = *NewRouteKeys(route.grant, NewKeyPair());
    Give(EdgeReceived{kCoordinatorNode, route, keys_});
  }
  struct Sent {
    NodeId to;
    Open open;
  };
  // The keys that are owed; nothing else may be.
  std::vector<Sent> TakeOpens() {
    std::vector<Sent> opens;
    for (const Outgoing& outgoing : std::exchange(state_.outbox, {})) {
      const auto* open = std::get_if<Open>(&outgoing.message);
      EXPECT_TRUE(open != nullptr && outgoing.seal.has_value());
      if (open != nullptr) opens.push_back({outgoing.to, *open});
    }
    return opens;
  }
  void Ask(NodeId from, uint32_t epoch, uint64_t step = 1) {
    Give(KeyWanted{from, NeedPrefix{.session = Session(1), .epoch = epoch, .step = step}});
  }

  RouteKeys keys_;
};

TEST_F(EdgeKeys, EachHopGetsItsKeyWithTheRouteAndWithEachEpoch) {
  std::vector<Sent> opens = TakeOpens();
  ASSERT_EQ(opens.size(), 2u);
  EXPECT_EQ(opens[0].to, kWorkerA);
  EXPECT_EQ(opens[1].to, kWorkerB);
  EXPECT_EQ(opens[1].open.key, keys_.for_hops[1].key);
  EXPECT_EQ(opens[0].open.step, 0u) << "nobody asked";
  GiveFrom(kWorkerA, NeedPrefix{.session = Session(1), .epoch = Slot(0).epoch, .step = 1});
  opens = TakeOpens();
  ASSERT_EQ(opens.size(), 2u);
  EXPECT_EQ(opens[0].open.epoch, Slot(0).epoch);
}

TEST_F(EdgeKeys, AHopThatAsksGetsItsKeyAgainSoOftenAndNothingIsComputedAnew) {
  TakeOpens();
  const uint32_t epoch = Slot(0).epoch;
  for (int i = 0; i < 100; ++i) Ask(kWorkerB, epoch);
  const std::vector<Sent> opens = TakeOpens();
  ASSERT_EQ(opens.size(), static_cast<size_t>(kKeysAgainMax));
  for (const Sent& sent : opens) {
    EXPECT_EQ(sent.to, kWorkerB);
    EXPECT_EQ(sent.open.step, 1u) << "the hop answers for this step, with a seal";
  }
  EXPECT_EQ(Slot(0).epoch, epoch);
  EXPECT_EQ(state_.counters.retries, 0u);
  EXPECT_EQ(state_.counters.keys_again, 100u);

  GiveFrom(kWorkerB, NeedPrefix{.session = Session(1), .epoch = epoch, .step = 1});
  TakeOpens();
  Ask(kWorkerB, epoch + 1);
  EXPECT_EQ(TakeOpens().size(), 1u) << "another epoch has its own count";
}

TEST_F(EdgeKeys, WhoIsNoHopOrSpeaksOfAnotherEpochGetsNoKey) {
  TakeOpens();
  Ask(NodeId{99}, Slot(0).epoch);
  Ask(kWorkerA, Slot(0).epoch + 1);
  EXPECT_TRUE(TakeOpens().empty());
}

TEST_F(EdgeKeys, WhatEndsASessionIsSealed) {
  TakeOpens();
  Give(CancelRequested{1});
  ASSERT_EQ(state_.outbox.size(), 2u);
  for (Outgoing& outgoing : state_.outbox) {
    ASSERT_TRUE(std::holds_alternative<Cancel>(outgoing.message) && outgoing.seal);
    EXPECT_EQ(outgoing.seal->bytes, RowsKeyOf(keys_.session, kSelf).bytes);
  }
  EXPECT_NE(FindSessionKey(state_, Session(1)), nullptr) << "its hops' last words are still read";
}

}  // namespace
}  // namespace mortar
