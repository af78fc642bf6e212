// Goal: a fetch asks for each byte once, takes nothing that it did not ask for, leaves nodes that
// are silent, busy or lie for others, and ends with a reason when nobody has the brick: the table
// in brick_fetch.h, row by row.
#include "protocol/brick_fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr NodeId kA{60};
constexpr NodeId kB{61};
constexpr uint64_t kChunk = kBrickChunkBytesMax;

Digest Named(uint8_t first) {
  Digest digest;
  digest.bytes[0] = first;
  return digest;
}

class BrickFetchTest : public testing::Test {
 protected:
  void Give(FetchEvent event) { Apply(state_, now_, std::move(event)); }
  void WantOne(uint64_t bytes) {
    Give(BricksWanted{{{.digest = Named(1), .bytes = bytes, .name = "layers.3"}}});
  }
  // Executes the plan as the exchange does, jobs aside; what was asked for.
  std::vector<BrickRequest> Turn() {
    std::vector<BrickRequest> requests;
    for (int i = 0; i < 20; ++i) {
      const FetchPlan plan = Plan(state_, now_);
      if (plan.ask_sources) Give(SourcesAsked{});
      if (plan.stalled) Give(FetchStalled{});
      if (plan.leave_source) Give(SourceLeft{});
      if (plan.choose) Give(SourceChosen{*plan.choose});
      if (plan.request) {
        requests.push_back(*plan.request);
        Give(ChunkAsked{plan.request->length});
      }
      if (!plan.choose && !plan.leave_source && !plan.request) break;
    }
    return requests;
  }
  // The job that is planned, ended like this.
  void DoJob(FetchJob expected, absl::Status status = {}, BrickStore::Begun begun = {}) {
    const FetchPlan plan = Plan(state_, now_);
    ASSERT_TRUE(plan.job.has_value());
    ASSERT_EQ(*plan.job, expected);
    const uint64_t bytes = state_.arrived.size();
    state_.arrived.clear();
    Give(FetchJobStarted{});
    Give(FetchJobDone{*plan.job, state_.run, std::move(status), begun, bytes});
  }
  void OpenFrom(std::vector<NodeId> nodes, uint64_t have = 0) {
    DoJob(FetchJob::kOpen, {}, {.whole = false, .bytes = have});
    Turn();
    SourcesCame sources;
    for (const NodeId node : nodes) sources.nodes.push_back({.node = node, .endpoint = ""});
    Give(sources);
  }
  BrickChunk ChunkAt(uint64_t offset, uint64_t total) {
    const size_t n = static_cast<size_t>(std::min(kChunk, total - offset));
    return {
        .digest = Named(1), .offset = offset, .total = total, .bytes = std::vector<uint8_t>(n, 7)};
  }

  FetchState state_;
  Time now_{seconds(100)};
};

TEST_F(BrickFetchTest, AsksForAWindowOfPiecesAndForMoreAsTheyCome) {
  const uint64_t total = 6 * kChunk + 10;
  WantOne(total);
  OpenFrom({kA});
  const auto first = Turn();
  ASSERT_EQ(first.size(), static_cast<size_t>(kBrickWindow));
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i], (BrickRequest{Named(1), i * kChunk, kBrickChunkBytesMax}));
  }
  EXPECT_TRUE(Turn().empty());
  Give(ChunkCame{kA, ChunkAt(0, total)});
  EXPECT_TRUE(Turn().empty()) << "what came is not written yet, and counts as on its way";
  DoJob(FetchJob::kWrite);
  const auto next = Turn();
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].offset, 4 * kChunk);
  for (uint64_t at = kChunk; at < total; at += kChunk) {
    Give(ChunkCame{kA, ChunkAt(at, total)});
    DoJob(FetchJob::kWrite);
    Turn();
  }
  EXPECT_EQ(state_.counters.bytes, total);
  DoJob(FetchJob::kClose);
  EXPECT_EQ(state_.phase, FetchPhase::kDone);
  EXPECT_EQ(state_.counters.fetched, 1u);
}

TEST_F(BrickFetchTest, WhatIsHereIsNotAskedForAndTheRestOfAPieceIs) {
  Give(BricksWanted{{{.digest = Named(9), .bytes = 10, .name = "layers.2"},
                     {.digest = Named(1), .bytes = 3 * kChunk, .name = "layers.3"}}});
  DoJob(FetchJob::kOpen, {}, {.whole = true, .bytes = 0});
  EXPECT_EQ(state_.counters.here, 1u);
  OpenFrom({kA}, 2 * kChunk);
  const auto asked = Turn();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0], (BrickRequest{Named(1), 2 * kChunk, kBrickChunkBytesMax}));
  EXPECT_EQ(state_.counters.resumed, 2 * kChunk);
}

TEST_F(BrickFetchTest, ABrickOfUnknownSizeIsAskedForByOnePieceUntilItIsKnown) {
  WantOne(0);
  OpenFrom({kA});
  EXPECT_EQ(Turn().size(), 1u);
  Give(ChunkCame{kA, ChunkAt(0, 100)});
  EXPECT_TRUE(Turn().empty());
  DoJob(FetchJob::kWrite);
  DoJob(FetchJob::kClose);
  EXPECT_EQ(state_.phase, FetchPhase::kDone);
}

TEST_F(BrickFetchTest, ABrickOfUnknownSizeHasALimit) {
  WantOne(0);
  OpenFrom({kA});
  Turn();
  Give(ChunkCame{kA, ChunkAt(0, kOutlineBytesMax + 1)});
  EXPECT_EQ(state_.counters.bytes, 0u);
  EXPECT_TRUE(state_.liars.contains({kA, Named(1)}));
}

TEST_F(BrickFetchTest, ChunksThatNobodyAskedForAreDropped) {
  WantOne(5 * kChunk);
  OpenFrom({kA, kB});
  Give(ChunkCame{kA, ChunkAt(0, 5 * kChunk)});  // before anything was asked for
  Turn();
  Give(ChunkCame{kB, ChunkAt(0, 5 * kChunk)});           // of another node
  Give(ChunkCame{kA, ChunkAt(4 * kChunk, 5 * kChunk)});  // beyond what was asked for
  Give(ChunkCame{kA, ChunkAt(kChunk / 2, 5 * kChunk)});  // between two pieces
  BrickChunk other = ChunkAt(0, 5 * kChunk);
  other.digest = Named(2);
  Give(ChunkCame{kA, other});
  EXPECT_EQ(state_.have, 0u);
  EXPECT_EQ(state_.counters.unexpected, 5u);
}

TEST_F(BrickFetchTest, PiecesThatOvertakeOthersWaitForThem) {
  const uint64_t total = 3 * kChunk + 5;
  WantOne(total);
  OpenFrom({kA});
  Turn();
  for (const uint64_t at : {2 * kChunk, 3 * kChunk, kChunk}) {
    Give(ChunkCame{kA, ChunkAt(at, total)});
    EXPECT_EQ(state_.have, 0u);
    EXPECT_TRUE(Turn().empty());
  }
  Give(ChunkCame{kA, ChunkAt(kChunk, total)});  // a second time
  EXPECT_EQ(state_.counters.unexpected, 1u);
  Give(ChunkCame{kA, ChunkAt(0, total)});
  EXPECT_EQ(state_.have, total);
  EXPECT_EQ(state_.counters.bytes, total);
  DoJob(FetchJob::kWrite);
  DoJob(FetchJob::kClose);
  EXPECT_EQ(state_.phase, FetchPhase::kDone);
}

TEST_F(BrickFetchTest, TheNextBrickIsAskedOfTheNodeThatHadTheLast) {
  Give(BricksWanted{{{.digest = Named(1), .bytes = kChunk, .name = "layers.3"},
                     {.digest = Named(2), .bytes = kChunk, .name = "layers.4"}}});
  OpenFrom({kA, kB});
  Turn();
  Give(ChunkCame{kA, {.digest = Named(1), .status = NotFound("not here")}});
  Turn();
  Give(ChunkCame{kB, ChunkAt(0, kChunk)});
  DoJob(FetchJob::kWrite);
  DoJob(FetchJob::kClose);
  DoJob(FetchJob::kOpen);
  Turn();
  EXPECT_EQ(state_.source, kB);
}

TEST_F(BrickFetchTest, AChunkOfAnotherSizeNamesItsSender) {
  WantOne(5 * kChunk);
  OpenFrom({kA, kB});
  Turn();
  BrickChunk small = ChunkAt(0, 5 * kChunk);
  small.bytes.resize(10);
  Give(ChunkCame{kA, small});
  ASSERT_EQ(state_.to_report.size(), 1u);
  EXPECT_EQ(state_.to_report[0].node, kA);
  Turn();
  EXPECT_EQ(state_.source, kB);
  Give(ChunkCame{kB, ChunkAt(0, 6 * kChunk)});  // of a brick that is larger than this one
  EXPECT_EQ(state_.to_report.size(), 2u);
}

TEST_F(BrickFetchTest, ASilentNodeIsLeftForTheNextWhichGoesOn) {
  const uint64_t total = 3 * kChunk;
  WantOne(total);
  OpenFrom({kA, kB});
  Turn();
  Give(ChunkCame{kA, ChunkAt(0, total)});
  now_ += kBrickChunkWaitMax + milliseconds(1);
  const auto asked = Turn();
  EXPECT_EQ(state_.source, kB);
  ASSERT_FALSE(asked.empty());
  EXPECT_EQ(asked[0].offset, kChunk);
}

TEST_F(BrickFetchTest, ABusyNodeRestsAndIsAskedAgainWhenNobodyElseHasIt) {
  WantOne(kChunk);
  OpenFrom({kA});
  Turn();
  BrickChunk busy{.digest = Named(1), .status = ResourceExhausted("sends to four")};
  Give(ChunkCame{kA, busy});
  EXPECT_TRUE(Turn().empty());
  now_ += kBrickSourceRest;
  EXPECT_EQ(Turn().size(), 1u);
  // Others may take long: that is no reason to give up.
  for (int i = 0; i < 100; ++i) {
    now_ += kBrickSourceRest;
    Give(ChunkCame{kA, busy});
    now_ += kBrickSourceRest;
    ASSERT_EQ(Turn().size(), 1u);
  }
  EXPECT_EQ(state_.phase, FetchPhase::kAsking);
}

TEST_F(BrickFetchTest, ANodeThatLacksItIsAskedAgainAfterTheCoordinatorSaysSo) {
  WantOne(kChunk);
  OpenFrom({kA});
  Turn();
  Give(ChunkCame{kA, {.digest = Named(1), .status = NotFound("not here")}});
  now_ += kHelloInterval;
  EXPECT_TRUE(Plan(state_, now_).ask_sources);
  EXPECT_TRUE(Turn().empty());
  Give(SourcesCame{{{.node = kA, .endpoint = ""}}});
  EXPECT_EQ(Turn().size(), 1u);
}

TEST_F(BrickFetchTest, AWrongDigestOfOneNodesBytesNamesItAndStartsAnewElsewhere) {
  WantOne(kChunk);
  OpenFrom({kA, kB});
  Turn();
  Give(ChunkCame{kA, ChunkAt(0, kChunk)});
  DoJob(FetchJob::kWrite);
  DoJob(FetchJob::kClose, DataLoss("its bytes have the digest 00"));
  ASSERT_EQ(state_.to_report.size(), 1u);
  EXPECT_EQ(state_.to_report[0].node, kA);
  EXPECT_EQ(state_.to_report[0].brick, "layers.3");
  DoJob(FetchJob::kOpen);
  const auto asked = Turn();
  EXPECT_EQ(state_.source, kB);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].offset, 0u);
}

TEST_F(BrickFetchTest, AWrongDigestOfAMixtureBlamesNobodyAndStartsAnew) {
  WantOne(2 * kChunk);
  OpenFrom({kA}, kChunk);  // half of it is of an earlier start
  Turn();
  Give(ChunkCame{kA, ChunkAt(kChunk, 2 * kChunk)});
  DoJob(FetchJob::kWrite);
  DoJob(FetchJob::kClose, DataLoss("its bytes have the digest 00"));
  EXPECT_TRUE(state_.to_report.empty());
  DoJob(FetchJob::kOpen);
  const auto asked = Turn();
  EXPECT_EQ(state_.source, kA);
  ASSERT_FALSE(asked.empty());
  EXPECT_EQ(asked[0].offset, 0u);
}

// A and B, each with half of a brick of two pieces, which are wrong together; it is begun anew.
class AloneTest : public BrickFetchTest {
 protected:
  AloneTest() {
    WantOne(kTotal);
    OpenFrom({kA, kB});
    Turn();
    Give(ChunkCame{kA, ChunkAt(0, kTotal)});
    DoJob(FetchJob::kWrite);
    Silence();
    EXPECT_EQ(state_.source, kB);
    Give(ChunkCame{kB, ChunkAt(kChunk, kTotal)});
    DoJob(FetchJob::kWrite);
    DoJob(FetchJob::kClose, DataLoss("its bytes have the digest 00"));
    EXPECT_TRUE(state_.alone);
    OpenAgain();
  }
  void OpenAgain() {
    EXPECT_TRUE(state_.anew) << "nothing that is here is trusted";
    DoJob(FetchJob::kOpen);
    Turn();
    EXPECT_EQ(state_.have, 0u);
  }
  void Silence() {
    now_ += kBrickChunkWaitMax + milliseconds(1);
    Turn();
  }
  // The first half from whoever is asked.
  NodeId HalfCame() {
    const NodeId from = state_.source;
    Give(ChunkCame{from, ChunkAt(0, kTotal)});
    DoJob(FetchJob::kWrite);
    return from;
  }
  static constexpr uint64_t kTotal = 2 * kChunk;
};

TEST_F(AloneTest, WhoeverFallsSilentInItsMidstIsLeftAndAnotherBeginsAnew) {
  const NodeId first = HalfCame();
  now_ += kBrickChunkWaitMax + milliseconds(1);
  Turn();
  OpenAgain();
  EXPECT_NE(state_.source, first);
  EXPECT_NE(state_.source, kNoNode);
}

TEST_F(AloneTest, ABusyNodeIsWaitedForAndNobodyElseIsAskedForTheRest) {
  const NodeId first = HalfCame();
  Give(ChunkCame{first, {.digest = Named(1), .status = ResourceExhausted("sends to four")}});
  EXPECT_TRUE(Turn().empty());
  EXPECT_EQ(state_.source, kNoNode);
  now_ += kBrickSourceRest;
  const auto asked = Turn();
  EXPECT_EQ(state_.source, first);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].offset, kChunk);
}

TEST_F(AloneTest, OneThatIsGoneWhileItRestsIsNotWaitedFor) {
  const NodeId first = HalfCame();
  Give(ChunkCame{first, {.digest = Named(1), .status = ResourceExhausted("sends to four")}});
  const NodeId other = first == kA ? kB : kA;
  Give(SourcesCame{{{.node = other, .endpoint = ""}}});
  OpenAgain();
  now_ += kBrickSourceRest;  // it was silent before
  Turn();
  EXPECT_EQ(state_.source, other);
}

TEST_F(AloneTest, WrongBytesOfTheOneAreItsOwn) {
  const NodeId one = HalfCame();
  Give(ChunkCame{one, ChunkAt(kChunk, kTotal)});
  DoJob(FetchJob::kWrite);
  DoJob(FetchJob::kClose, DataLoss("its bytes have the digest 00"));
  ASSERT_EQ(state_.to_report.size(), 1u);
  EXPECT_EQ(state_.to_report[0].node, one);
}

TEST_F(AloneTest, SoManyAttemptsWithoutAnEndAreAFailure) {
  for (int attempts = 2; attempts < kBrickAttemptsMax; ++attempts) {
    HalfCame();
    Silence();
    OpenAgain();
  }
  HalfCame();
  Silence();
  EXPECT_EQ(state_.phase, FetchPhase::kFailed);
  EXPECT_THAT(Message(state_.failure), HasSubstr("did not come whole in 3 attempts"));
  EXPECT_THAT(Message(state_.failure), HasSubstr("it sends nothing"));
}

TEST_F(BrickFetchTest, ANodeThatIsBusyForEverIsAFailureAfterAll) {
  WantOne(kChunk);
  OpenFrom({kA});
  Turn();
  const Time start = now_;
  while (state_.phase == FetchPhase::kAsking && now_ - start < 2 * kBrickBusyMax) {
    Give(ChunkCame{kA, {.digest = Named(1), .status = ResourceExhausted("sends to four")}});
    now_ += kBrickSourceRest;
    Turn();
  }
  EXPECT_EQ(state_.phase, FetchPhase::kFailed);
  EXPECT_THAT(Message(state_.failure), HasSubstr("sends to four"));
  EXPECT_GE(now_ - start, kBrickBusyMax);
  EXPECT_LT(now_ - start, kBrickBusyMax + 2 * kBrickStallMax);
}

TEST_F(BrickFetchTest, NoByteForLongIsAFailureWithTheLastReason) {
  WantOne(kChunk);
  OpenFrom({kA});
  Turn();
  Give(ChunkCame{kA, {.digest = Named(1), .status = NotFound("not here, says A")}});
  now_ += kBrickStallMax + milliseconds(1);
  Turn();
  EXPECT_EQ(state_.phase, FetchPhase::kFailed);
  EXPECT_TRUE(absl::IsUnavailable(state_.failure));
  EXPECT_THAT(Message(state_.failure), HasSubstr("layers.3"));
  EXPECT_THAT(Message(state_.failure), HasSubstr("not here, says A"));
}

TEST_F(BrickFetchTest, WhatCannotBeWrittenIsAFailure) {
  WantOne(kChunk);
  DoJob(FetchJob::kOpen, ResourceExhausted("no room"));
  EXPECT_EQ(state_.phase, FetchPhase::kFailed);
  EXPECT_EQ(Message(state_.failure), "no room");
  EXPECT_TRUE(Turn().empty());
}

TEST_F(BrickFetchTest, AJobOfWhatWasWantedBeforeSaysNothingOfWhatIsWantedNow) {
  WantOne(kChunk);
  const uint64_t old_run = state_.run;
  Give(FetchJobStarted{});
  Give(BricksWanted{{{.digest = Named(2), .bytes = 5, .name = "layers.4"}}});
  EXPECT_FALSE(Plan(state_, now_).job.has_value()) << "one job at a time";
  Give(FetchJobDone{FetchJob::kOpen, old_run, {}, {.whole = true, .bytes = 0}, 0});
  EXPECT_EQ(state_.phase, FetchPhase::kOpening);
  EXPECT_EQ(state_.counters.here, 0u);
  DoJob(FetchJob::kOpen);
}

TEST_F(BrickFetchTest, NothingWantedIsDoneAtOnce) {
  Give(BricksWanted{});
  EXPECT_EQ(state_.phase, FetchPhase::kDone);
}

}  // namespace
}  // namespace mortar
