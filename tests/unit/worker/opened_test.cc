// Goal: a worker keeps the keys that edges bring before their sessions begin, and nobody's keys can
// push out more than his own.
#include "worker/opened.h"

#include <gtest/gtest.h>

namespace mortar {
namespace {

constexpr NodeId kEdgeA{100};
constexpr NodeId kEdgeB{200};

SessionId Id(uint32_t n) {
  SessionId id;
  for (size_t i = 0; i < sizeof n; ++i) id.bytes[i] = static_cast<uint8_t>(n >> (8 * i));
  return id;
}

OpenedSession Of(NodeId edge, uint8_t key = 1) {
  OpenedSession opened{.edge = edge, .seal = {}};
  opened.seal.session.bytes[0] = key;
  return opened;
}

TEST(OpenedSessions, WhatWasAddedIsFoundUntilItIsRemoved) {
  OpenedSessions opened;
  opened.Add(Id(1), Of(kEdgeA, 7));
  ASSERT_NE(opened.Find(Id(1)), nullptr);
  EXPECT_EQ(opened.Find(Id(1))->seal.session.bytes[0], 7);
  EXPECT_EQ(opened.Find(Id(2)), nullptr);
  opened.Remove(Id(1));
  opened.Remove(Id(1));
  EXPECT_EQ(opened.Find(Id(1)), nullptr);
  EXPECT_EQ(opened.size(), 0u);
}

TEST(OpenedSessions, AnEdgeMayBringItsKeyAgainAndNobodyElseMay) {
  OpenedSessions opened;
  opened.Add(Id(1), Of(kEdgeA, 7));
  opened.Add(Id(1), Of(kEdgeB, 8));
  EXPECT_EQ(opened.Find(Id(1))->edge, kEdgeA);
  opened.Add(Id(1), Of(kEdgeA, 9));
  EXPECT_EQ(opened.Find(Id(1))->seal.session.bytes[0], 9);
  EXPECT_EQ(opened.size(), 1u);
}

TEST(OpenedSessions, AnEdgeThatBringsTooManyPushesOutItsOwnOldest) {
  OpenedSessions opened;
  opened.Add(Id(0), Of(kEdgeB));
  for (uint32_t n = 1; n <= kOpenedPerEdgeMax + 1; ++n) opened.Add(Id(n), Of(kEdgeA));
  EXPECT_NE(opened.Find(Id(0)), nullptr) << "another's stays";
  EXPECT_EQ(opened.Find(Id(1)), nullptr);
  EXPECT_NE(opened.Find(Id(2)), nullptr);
  EXPECT_EQ(opened.size(), kOpenedPerEdgeMax + 1);
}

TEST(OpenedSessions, AllEdgesTogetherHaveABound) {
  OpenedSessions opened;
  for (uint32_t n = 0; n < kOpenedMax + 10; ++n) opened.Add(Id(n), Of(NodeId{1000 + n}));
  EXPECT_EQ(opened.size(), kOpenedMax);
  EXPECT_EQ(opened.Find(Id(9)), nullptr);
  EXPECT_NE(opened.Find(Id(10)), nullptr);
}

TEST(OpenedSessions, AnEdgeThatIsGoneTakesItsKeysWithIt) {
  OpenedSessions opened;
  for (uint32_t n = 0; n < 10; ++n) opened.Add(Id(n), Of(n % 2 == 0 ? kEdgeA : kEdgeB));
  opened.RemoveOf(kEdgeA);
  EXPECT_EQ(opened.size(), 5u);
  EXPECT_EQ(opened.Find(Id(2)), nullptr);
  EXPECT_NE(opened.Find(Id(3)), nullptr);
}

}  // namespace
}  // namespace mortar
