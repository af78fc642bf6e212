// Goal: two nodes joined by a transport fetch and send bricks beside what their loops say to one
// another; private bricks and those of nobody cannot be had, and each node sends to a few at a
// time.
#include "protocol/brick_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "protocol/brick_serve.h"
#include "protocol/local_transport.h"

namespace mortar {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr NodeId kSender{60};
constexpr NodeId kFetcher{61};

Digest Named(uint8_t first) {
  Digest digest;
  digest.bytes[0] = first;
  return digest;
}

std::vector<uint8_t> Counted(size_t n) {
  std::vector<uint8_t> bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>(i * 131 >> 3);
  return bytes;
}

// Bricks in memory. What Finish must find is in `right`.
class MemoryStore final : public BrickStore {
 public:
  std::map<Digest, std::vector<uint8_t>> whole, parts, right;

  std::optional<uint64_t> Find(const Digest& digest) const override {
    const auto found = whole.find(digest);
    return found == whole.end() ? std::nullopt : std::optional<uint64_t>(found->second.size());
  }
  absl::Status Read(const Digest& digest, uint64_t offset, std::span<uint8_t> out) override {
    std::copy_n(whole.at(digest).begin() + static_cast<std::ptrdiff_t>(offset), out.size(),
                out.begin());
    return absl::OkStatus();
  }
  absl::StatusOr<Begun> Begin(const Digest& digest, uint64_t) override {
    return Begun{.whole = whole.contains(digest), .bytes = parts[digest].size()};
  }
  absl::Status Append(const Digest& digest, uint64_t offset,
                      std::span<const uint8_t> bytes) override {
    EXPECT_EQ(offset, parts[digest].size());
    parts[digest].insert(parts[digest].end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  }
  absl::Status Finish(const Digest& digest) override {
    const std::vector<uint8_t> came = std::exchange(parts[digest], {});
    if (came != right.at(digest)) return DataLoss("another digest");
    whole[digest] = came;
    return absl::OkStatus();
  }
  absl::Status Discard(const Digest& digest) override {
    parts[digest].clear();
    return absl::OkStatus();
  }
};

struct Node {
  Node(NodeId id, LocalNetwork& network, const Clock& clock, const Logger& log)
      : transport(network.Attach(id)), exchange({*transport, store, clock, jobs, log}) {}

  // Its loop, once; what came for it.
  std::optional<Incoming> Turn() {
    std::optional<Incoming> incoming = exchange.Poll();
    jobs.RunOne();
    return incoming;
  }

  MemoryStore store;
  std::unique_ptr<Transport> transport;
  PumpedJobs jobs;
  BrickExchange exchange;
};

class BrickExchangeTest : public testing::Test {
 protected:
  BrickExchangeTest()
      : log_(LogLevel::kOff, LogFormat::kText),
        coordinator_(network_.Attach(kCoordinatorNode)),
        sender_(kSender, network_, clock_, log_),
        fetcher_(kFetcher, network_, clock_, log_) {}

  void Run(int turns, std::vector<Introduction> sources = {{.node = kSender, .endpoint = ""}}) {
    for (int i = 0; i < turns && !fetcher_.exchange.Wanted(); ++i) {
      while (auto incoming = coordinator_->Poll()) {
        if (!std::holds_alternative<SourcesRequest>(incoming->message)) continue;
        ASSERT_TRUE(
            coordinator_->Send(incoming->from, Sources{.outline = Named(99), .nodes = sources})
                .ok());
      }
      sender_.Turn();
      fetcher_.Turn();
    }
  }
  void Has(uint8_t name, size_t n) {
    sender_.store.whole[Named(name)] = Counted(n);
    fetcher_.store.right[Named(name)] = Counted(n);
  }

  LocalNetwork network_;
  SteadyClock clock_;
  Logger log_;
  std::unique_ptr<Transport> coordinator_;
  Node sender_;
  Node fetcher_;
};

// Each loop takes a message a turn here, so that the fetcher's finds one waiting at every one.
TEST_F(BrickExchangeTest, AFloodOfOtherMessagesHoldsUpNoBrick) {
  Has(1, 3 * kBrickChunkBytesMax);
  fetcher_.exchange.Want({{Named(1), 3 * kBrickChunkBytesMax, "layers.1"}});
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(coordinator_->Send(kFetcher, Echo{1}).ok());
  int handed_on = 0;
  for (int i = 0; i < 2000 && !fetcher_.exchange.Wanted(); ++i) {
    ASSERT_TRUE(coordinator_->Send(kFetcher, Echo{1}).ok());
    while (auto incoming = coordinator_->Poll()) {
      const Sources sources{.outline = Named(99), .nodes = {{.node = kSender, .endpoint = ""}}};
      ASSERT_TRUE(coordinator_->Send(incoming->from, sources).ok());
    }
    sender_.Turn();
    if (fetcher_.Turn()) ++handed_on;
  }
  EXPECT_EQ(fetcher_.exchange.Wanted(), absl::OkStatus());
  EXPECT_GT(handed_on, 200) << "no flood";
}

TEST_F(BrickExchangeTest, BringsEveryByteOfSeveralBricks) {
  Has(1, 5 * kBrickChunkBytesMax + 77);
  Has(2, 1);
  Has(3, kBrickChunkBytesMax);
  fetcher_.exchange.Want({{Named(1), 5 * kBrickChunkBytesMax + 77, "layers.1"},
                          {Named(2), 1, "layers.2"},
                          {Named(3), 0, "outline"}});
  Run(500);
  ASSERT_TRUE(fetcher_.exchange.Wanted().has_value());
  EXPECT_TRUE(fetcher_.exchange.Wanted()->ok());
  EXPECT_EQ(fetcher_.store.whole, sender_.store.whole);
  EXPECT_EQ(fetcher_.exchange.fetched().bytes, sender_.exchange.served().bytes);
  EXPECT_EQ(sender_.exchange.served().bytes, 6 * kBrickChunkBytesMax + 78u);
  EXPECT_EQ(fetcher_.exchange.sources()->outline, Named(99));
}

TEST_F(BrickExchangeTest, WhatTheLoopsSayPassesAndGoesBeforeChunks) {
  Has(1, 3 * kBrickChunkBytesMax);
  fetcher_.exchange.Want({{Named(1), 3 * kBrickChunkBytesMax, "layers.1"}});
  int for_the_loop = 0;
  for (int i = 0; i < 200 && !fetcher_.exchange.Wanted(); ++i) {
    while (auto incoming = coordinator_->Poll()) {
      (void)coordinator_->Send(incoming->from,
                               Sources{.nodes = {{.node = kSender, .endpoint = ""}}});
    }
    ASSERT_TRUE(fetcher_.exchange.Send(kSender, Cancel{}).ok());
    // One Poll gives the loop its message before a read for anybody is begun.
    const auto before = sender_.exchange.served().chunks;
    const auto incoming = sender_.exchange.Poll();
    ASSERT_TRUE(incoming.has_value());
    EXPECT_TRUE(std::holds_alternative<Cancel>(incoming->message));
    EXPECT_LE(sender_.exchange.served().chunks, before + 1);
    ++for_the_loop;
    EXPECT_FALSE(sender_.Turn().has_value());
    fetcher_.Turn();
  }
  EXPECT_TRUE(fetcher_.exchange.Wanted().has_value());
  EXPECT_GT(for_the_loop, 3);
}

TEST_F(BrickExchangeTest, WrongBytesAreNotKept) {
  Has(1, 1000);
  sender_.store.whole[Named(1)][500] ^= 1;
  fetcher_.exchange.Want({{Named(1), 1000, "layers.1"}});
  Run(100);
  EXPECT_FALSE(fetcher_.exchange.Wanted().has_value());
  EXPECT_FALSE(fetcher_.store.whole.contains(Named(1)));
  EXPECT_EQ(fetcher_.exchange.fetched().refused, 1u);
  EXPECT_EQ(sender_.exchange.served().bytes, 1000u) << "it is not asked again";
}

TEST_F(BrickExchangeTest, WhoHasItNotSaysSoAndNothingComes) {
  fetcher_.exchange.Want({{Named(1), 1000, "layers.1"}});
  Run(100);
  EXPECT_FALSE(fetcher_.exchange.Wanted().has_value());
  EXPECT_GE(sender_.exchange.served().refused, 1u);
}

TEST(BrickServe, RefusesWhatLiesOutsideAndWhatIsNotHere) {
  ServeState state;
  const Time now{seconds(1)};
  const uint64_t large = kOutlineBytesMax + 1000;
  auto answer = Ask(state, now, kFetcher, {Named(1), 0, 10}, std::nullopt);
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(absl::IsNotFound(answer->status));
  for (const BrickRequest& request :
       {BrickRequest{Named(1), large, 1}, BrickRequest{Named(1), large - 5, 6},
        BrickRequest{Named(1), ~uint64_t{0}, 2}}) {
    answer = Ask(state, now, kFetcher, request, large);
    ASSERT_TRUE(answer.has_value());
    EXPECT_TRUE(absl::IsInvalidArgument(answer->status)) << answer->status;
  }
  EXPECT_EQ(StartRead(state), nullptr);
}

TEST(BrickServe, BoundsWhatWaitsForEachReaderAndHowManyThereAre) {
  ServeState state;
  Time now{seconds(1)};
  for (uint64_t reader = 100; reader < 100 + kBrickReadersMax; ++reader) {
    for (int i = 0; i < kBrickWindow; ++i) {
      EXPECT_FALSE(Ask(state, now, NodeId{reader}, {Named(1), 0, 10}, 10).has_value());
    }
    const auto more = Ask(state, now, NodeId{reader}, {Named(1), 0, 10}, 10);
    ASSERT_TRUE(more.has_value());
    EXPECT_TRUE(absl::IsResourceExhausted(more->status));
  }
  const auto another = Ask(state, now, kFetcher, {Named(1), 0, 10}, 10);
  ASSERT_TRUE(another.has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(another->status));
  // They get what they asked for, in their order, and after a while leave their places.
  size_t sent = 0;
  while (const WaitingRead* read = StartRead(state)) {
    EXPECT_EQ(StartRead(state), nullptr) << "one at a time";
    EXPECT_EQ(read->to.value, 100 + sent / kBrickWindow);
    const Outgoing out = EndRead(state, absl::OkStatus(), Counted(10));
    EXPECT_EQ(std::get<BrickChunk>(out.message).bytes.size(), 10u);
    ++sent;
  }
  EXPECT_EQ(sent, kBrickReadersMax * kBrickWindow);
  EXPECT_TRUE(Ask(state, now, kFetcher, {Named(1), 0, 10}, 10).has_value());
  now += kBrickReaderAge + seconds(1);
  EXPECT_FALSE(Ask(state, now, kFetcher, {Named(1), 0, 10}, 10).has_value());
}

TEST(BrickServe, AFileThatChangedIsARefusalThatNamesNoFile) {
  ServeState state;
  EXPECT_FALSE(Ask(state, Time{}, kFetcher, {Named(1), 0, 10}, 10).has_value());
  ASSERT_NE(StartRead(state), nullptr);
  const Outgoing out = EndRead(state, FailedPrecondition("/home/me/m.gguf: was written to"), {});
  const auto& chunk = std::get<BrickChunk>(out.message);
  EXPECT_TRUE(chunk.bytes.empty());
  EXPECT_TRUE(absl::IsFailedPrecondition(chunk.status));
  EXPECT_EQ(Message(chunk.status), "this node cannot read the brick");
}

}  // namespace
}  // namespace mortar
