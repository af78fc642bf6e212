// Goal: a route's grant is taken from a coordinator that the node has joined, by the hop and the
// edge that it names, in its time, and as it was signed.
#include "protocol/grant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using testing::HasSubstr;

constexpr NodeId kEdge{100};
constexpr NodeId kHop{200};
constexpr CalendarTime kNow{std::chrono::hours(24 * 365 * 50)};

class Grants : public testing::Test {
 protected:
  Grants() {
    grant_.session.bytes[0] = 7;
    grant_.edge = kEdge;
    grant_.edge_key = NewKeyPair().public_key;
    grant_.model = {.name = "m", .digest = {}, .n_layers = 6, .n_embd = 64};
    grant_.hops = {{.node = kHop, .name = "a", .layers = {1, 3}, .key = hop_.public_key},
                   {.node = NodeId{201}, .name = "b", .layers = {3, 5}, .key = other_.public_key}};
    grant_.positions_max = 100;
    grant_.expires = kNow + minutes(60);
    signer_.Sign(grant_);
  }
  absl::Status Check(const RouteGrant& grant) const {
    return CheckSignature(std::vector{signer_.key()}, grant);
  }
  absl::Status Shown(const GrantedHop& hop, NodeId edge = kEdge, CalendarTime now = kNow) const {
    return CheckShown(grant_, hop, edge, now);
  }
  GrantedHop Hop0() const { return {kHop, hop_.public_key, {1, 3}, grant_.model.digest}; }

  const KeyPair hop_ = NewKeyPair(), other_ = NewKeyPair(), coordinator_ = NewKeyPair();
  const Signer signer_{coordinator_};
  RouteGrant grant_;
};

TEST_F(Grants, WhatACoordinatorSignedIsTakenAndTheSameKeyAlwaysSignsTheSame) {
  EXPECT_TRUE(Check(grant_).ok());
  EXPECT_EQ(Signer(coordinator_).key(), signer_.key()) << "also after a restart";
  EXPECT_NE(Signer(other_).key(), signer_.key());
  EXPECT_NE(signer_.key().bytes, coordinator_.public_key.bytes);
}

TEST_F(Grants, WhatAHopIsShownIsSignedAndNothingElse) {
  grant_.hops[0].bricks.resize(2);
  grant_.hops[0].endpoint = "tcp://10.0.0.1:4711";
  const RouteGrant shown = ShownOf(grant_);
  EXPECT_TRUE(Check(shown).ok());
  EXPECT_TRUE(shown.hops[0].name.empty() && shown.hops[0].endpoint.empty());
  EXPECT_TRUE(shown.hops[0].bricks.empty() && shown.model.name.empty());
}

TEST_F(Grants, EverySignedFieldIsHeld) {
  const std::vector<void (*)(RouteGrant&)> changes = {
      [](RouteGrant& g) { g.session.bytes[15] ^= 1; },
      [](RouteGrant& g) { g.edge.value ^= 1; },
      [](RouteGrant& g) { g.edge_key.bytes[0] ^= 1; },
      [](RouteGrant& g) { g.model.digest.bytes[31] ^= 1; },
      [](RouteGrant& g) { g.model.n_layers ^= 1; },
      [](RouteGrant& g) { g.model.n_embd ^= 1; },
      [](RouteGrant& g) { g.model.kv = KvFormat::kF32; },
      [](RouteGrant& g) { g.contract = "N2"; },
      [](RouteGrant& g) { ++g.positions_max; },
      [](RouteGrant& g) { ++g.frames_in_flight_max; },
      [](RouteGrant& g) { ++g.row_bytes_in_flight_max; },
      [](RouteGrant& g) { g.expires += milliseconds(1); },
      [](RouteGrant& g) { g.hops[1].node.value ^= 1; },
      [](RouteGrant& g) { g.hops[1].key.bytes[0] ^= 1; },
      [](RouteGrant& g) { ++g.hops[1].layers.begin; },
      [](RouteGrant& g) { ++g.hops[1].layers.end; },
      [](RouteGrant& g) { g.hops.pop_back(); },
      [](RouteGrant& g) { std::swap(g.hops[0], g.hops[1]); },
      [](RouteGrant& g) { (*g.signature)[63] ^= 1; },
      [](RouteGrant& g) { g.signature.reset(); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    RouteGrant grant = grant_;
    changes[i](grant);
    EXPECT_TRUE(absl::IsPermissionDenied(Check(grant)));
  }
}

TEST_F(Grants, ACoordinatorThatTheNodeHasNotJoinedSignsForNobody) {
  EXPECT_TRUE(absl::IsPermissionDenied(CheckSignature({}, grant_)));
  const SignerKey other = Signer(other_).key();
  EXPECT_TRUE(absl::IsPermissionDenied(CheckSignature(std::vector{other}, grant_)));
  const std::vector<SignerKey> both = {signer_.key(), other};
  EXPECT_TRUE(CheckSignature(both, grant_).ok());
}

TEST_F(Grants, TheNewestSignersAreTrustedAndTheOldestGoes) {
  std::vector<SignerKey> signers;
  Trust(signers, signer_.key());
  for (size_t i = 1; i < kSignersMax; ++i) Trust(signers, Signer(NewKeyPair()).key());
  Trust(signers, signer_.key());  // it came again: the newest
  EXPECT_EQ(signers.size(), kSignersMax);
  for (size_t i = 1; i < kSignersMax; ++i) Trust(signers, Signer(NewKeyPair()).key());
  EXPECT_TRUE(CheckSignature(signers, grant_).ok());
  Trust(signers, Signer(NewKeyPair()).key());
  EXPECT_EQ(signers.size(), kSignersMax);
  EXPECT_FALSE(CheckSignature(signers, grant_).ok());
}

TEST_F(Grants, AHopAsksThatTheGrantIsItsOwnAndTheEdges) {
  EXPECT_TRUE(Shown(Hop0()).ok());
  EXPECT_THAT(Message(Shown(Hop0(), NodeId{101})), HasSubstr("node 0000000000000065 shows it"));
  GrantedHop hop = Hop0();
  hop.node = NodeId{300};
  EXPECT_TRUE(absl::IsPermissionDenied(Shown(hop)));
  hop = Hop0();
  hop.key = other_.public_key;
  EXPECT_TRUE(absl::IsPermissionDenied(Shown(hop)));
  hop = Hop0();
  hop.layers = {3, 5};
  EXPECT_THAT(Message(Shown(hop)), HasSubstr("for layers [1, 3), this node hosts [3, 5)"));
  hop = Hop0();
  hop.model.bytes[0] = 1;
  EXPECT_TRUE(absl::IsFailedPrecondition(Shown(hop)));
}

TEST_F(Grants, AGrantIsTakenUntilItHasExpiredAndAsLongAsClocksMayDiffer) {
  EXPECT_TRUE(Shown(Hop0(), kEdge, grant_.expires + minutes(4)).ok());
  const absl::Status late = Shown(Hop0(), kEdge, grant_.expires + minutes(6));
  EXPECT_THAT(Message(late), HasSubstr("expired"));
}

}  // namespace
}  // namespace mortar
