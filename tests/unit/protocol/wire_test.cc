// Goal: every message comes out of its bytes as it went in, messages of every released version
// still do, and no bytes of a stranger do more than give an error.
#include "protocol/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <limits>
#include <random>

#include "tests/support/sample_messages.h"

namespace mortar {
namespace {

using testing::HasSubstr;

// As values: rows are no part of what is encoded.
bool Same(const AnyMessage& a, const AnyMessage& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&](const auto& m) {
        using Message = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<Message, Activation>) {
          return m.envelope == std::get<Activation>(b).envelope;
        } else {
          return m == std::get<Message>(b);
        }
      },
      a);
}

std::vector<uint64_t> Bytes(const AnyMessage& message) {
  WireWriter writer;
  const auto words = writer.Write(NodeId{60}, NodeId{50}, message);
  return {words.begin(), words.end()};
}

std::string Refusal(const std::vector<uint64_t>& words) {
  const auto read = ReadMessage(words);
  return read.ok() ? "read" : Message(read.status());
}

TEST(Wire, EveryMessageComesOutAsItWentIn) {
  WireWriter writer;  // one for all: nothing of a message is left for the next
  for (const SampleMessage& sample : SampleMessages()) {
    SCOPED_TRACE(sample.name);
    const auto words = writer.Write(NodeId{60}, NodeId{50}, sample.message.message);
    const auto read = ReadMessage(words);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->from, NodeId{60});
    EXPECT_EQ(read->to, NodeId{50});
    EXPECT_TRUE(Same(read->message, sample.message.message));
    const auto ends = ReadEnds(words);
    ASSERT_TRUE(ends.ok());
    EXPECT_EQ(ends->to, NodeId{50});
  }
}

TEST(Wire, EveryFormatOfKeysAndValuesComesOutAsItWentIn) {
  WireWriter writer;
  for (const KvFormat kv : {KvFormat::kF16, KvFormat::kF32, KvFormat::kQ80}) {
    Hello hello{.name = "n"};
    hello.model = {.name = "m", .digest = {}, .n_layers = 4, .n_embd = 64, .kv = kv};
    const auto read = ReadMessage(writer.Write(NodeId{60}, NodeId{50}, hello));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(std::get<Hello>(read->message).model.kv, kv);
  }
}

TEST(Wire, MessagesOfEveryReleasedVersionAreStillRead) {
  for (const SampleMessage& sample : SampleMessages()) {
    SCOPED_TRACE(sample.name);
    std::ifstream file(std::string(MORTAR_TEST_DATA) + "/wire/v1/" + sample.name + ".bin",
                       std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    ASSERT_FALSE(bytes.empty());
    ASSERT_EQ(bytes.size() % 8, 0u);
    std::vector<uint64_t> words(bytes.size() / 8);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    const auto read = ReadMessage(words);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(Same(read->message, sample.message.message));
  }
}

TEST(Wire, AFrameCostsWhatIsSaidOfIt) {
  for (const uint8_t n_hops : {0, 1, 7}) {
    const Envelope e{.n_hops = n_hops};
    EXPECT_EQ(Bytes(Activation{.envelope = e, .rows = {}}).size() * 8, EncodedBytes(e));
  }
  // With ZeroMQ's 2 bytes before this part and 9 before the rows.
  EXPECT_LE(EncodedBytes({.n_hops = kHopsMax - 1}) + 2 + 9, 200u);
}

// Elements of a list without fields that have their defaults: what is read is the same, and is
// longer when it is written.
TEST(Wire, WhatComesShorterThanItIsWrittenHereIsReadAndNotWrittenBeyondTheBound) {
  WireWriter writer;
  const auto some = ReadMessage(CompactStatus(NodeId{60}, NodeId{50}, 3, 10));
  ASSERT_TRUE(some.ok()) << some.status();
  const auto& status = std::get<NodeStatus>(some->message);
  ASSERT_EQ(status.bricks.size(), 3u);
  EXPECT_EQ(status.bricks[2].digest.bytes[0], 0xef);
  EXPECT_EQ(status.padding, 10u);
  const auto again = writer.Rewrite(some->from, some->to, some->message);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(Same(ReadMessage(*again)->message, some->message));

  const auto longest = CompactStatus(NodeId{60}, NodeId{50}, kBricksMax, kFrameRowBytesMax);
  ASSERT_LE(longest.size() * sizeof(uint64_t), kMessageBytesMax) << "a link lets it through";
  const auto read = ReadMessage(longest);
  ASSERT_TRUE(read.ok()) << read.status();
  const auto refused = writer.Rewrite(read->from, read->to, read->message);
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status()));
  EXPECT_THAT(Message(refused.status()), HasSubstr("at most 524288 are allowed"));
  // Nothing of it is left for the next message.
  const auto next = writer.Write(NodeId{60}, NodeId{50}, Alive{});
  EXPECT_EQ(std::vector<uint64_t>(next.begin(), next.end()), Bytes(Alive{}));
}

TEST(WireDeathTest, AMessageOfOurOwnBeyondTheBoundIsABug) {
  WireWriter writer;
  NodeStatus status;
  status.bricks.resize(kBricksMax);
  status.padding = kFrameRowBytesMax;
  EXPECT_DEATH((void)writer.Write(NodeId{60}, NodeId{50}, status), "written.ok");
}

TEST(Wire, TextOfAnErrorIsCutToItsBound) {
  const std::string text(3000, 'x');
  const auto read = ReadMessage(Bytes(Goodbye{Unavailable(text)}));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(Message(std::get<Goodbye>(read->message).status).size(), kStatusTextBytesMax);
}

TEST(Wire, EmptyAndCutMessagesAreRefused) {
  EXPECT_THAT(Refusal({}), HasSubstr("no message of this protocol"));
  for (const SampleMessage& sample : SampleMessages()) {
    SCOPED_TRACE(sample.name);
    std::vector<uint64_t> words = Bytes(sample.message.message);
    while (words.size() > 1) {
      words.pop_back();
      EXPECT_NE(Refusal(words), "read") << words.size() << " words";
    }
  }
}

TEST(Wire, BrokenBitsGiveAnErrorOrAnotherMessageAndNothingWorse) {
  constexpr uint32_t kSeed = 20261122;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  int refused = 0;
  for (const SampleMessage& sample : SampleMessages()) {
    const std::vector<uint64_t> good = Bytes(sample.message.message);
    for (int i = 0; i < 2000; ++i) {
      std::vector<uint64_t> words = good;
      words[random() % words.size()] ^= uint64_t{1} << (random() % 64);
      refused += !ReadMessage(words).ok();
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(Wire, UnknownKindsAreNamed) {
  std::vector<uint64_t> words = Bytes(Alive{});
  // Segment table, root pointer, from, to, then the union's number.
  reinterpret_cast<uint16_t*>(&words[4])[0] = 99;
  EXPECT_THAT(Refusal(words), HasSubstr("message of unknown kind 99"));
  words = Bytes(Activation{});
  const size_t rows_wanted = 4 + 2 + 4;  // frame's last word and pointer, envelope's fourth word
  reinterpret_cast<uint16_t*>(&words[rows_wanted - 1])[2] = 7;
  EXPECT_THAT(Refusal(words), HasSubstr("rows wanted of unknown kind 7"));
}

TEST(Wire, AMessageThatPointsAtItselfManyTimesIsRefused) {
  // A list of 4,096 bricks whose every element would be the same words: the traversal limit ends
  // it long before memory does.
  NodeStatus status;
  status.bricks.resize(4);
  std::vector<uint64_t> words = Bytes(status);
  for (size_t i = 1; i < words.size(); ++i) {
    std::vector<uint64_t> looped = words;
    looped[i] = 0xfffffffc;  // a struct pointer to itself
    const auto read = ReadMessage(looped);
    if (read.ok()) continue;  // the word was data
    EXPECT_TRUE(absl::IsInvalidArgument(read.status()));
  }
}

std::string RefusalOf(const AnyMessage& message) { return Refusal(Bytes(message)); }

TEST(Wire, LayersThatCannotBeAreRefusedByName) {
  constexpr int kMin = std::numeric_limits<int>::min();
  constexpr int kMax = std::numeric_limits<int>::max();
  EXPECT_THAT(RefusalOf(Placement{.id = 1, .model = {}, .layers = {1, kMin}}),
              HasSubstr("layers [1, -2147483648)"));
  EXPECT_THAT(RefusalOf(Placement{.id = 1, .model = {}, .layers = {-1, 2}}), HasSubstr("[-1, 2)"));
  NodeStatus status;
  status.layers_only = {3, 2};
  EXPECT_THAT(RefusalOf(status), HasSubstr("layers [3, 2), expected 0 <= begin <= end"));
  status.layers_only = {};
  status.front_layers = kMax;
  EXPECT_THAT(RefusalOf(status), HasSubstr("front layers 2147483647, expected 0 to 4096"));
  status.front_layers = 0;
  status.back_layers = -1;
  EXPECT_THAT(RefusalOf(status), HasSubstr("back layers -1"));
  EXPECT_THAT(RefusalOf(RouteRequest{.request = 1, .model = {}, .front_layers = kMin}),
              HasSubstr("front layers -2147483648"));
  EXPECT_EQ(Bytes(RouteRequest{.request = 1, .model = {}}).size() + 1,
            Bytes(RouteRequest{.request = 1, .model = {}, .missed = {NodeId{70}}}).size());
  Hello hello;
  hello.model.n_layers = kMax;
  EXPECT_THAT(RefusalOf(hello), HasSubstr("layers of a model 2147483647"));
}

TEST(Wire, AnErrorWithCodeOkIsRefused) {
  EXPECT_THAT(RefusalOf(Goodbye{}), HasSubstr("goodbye with code OK"));
  EXPECT_THAT(RefusalOf(Rejected{}), HasSubstr("rejected with code OK"));
}

TEST(Wire, AStatusIntervalThatWouldSpinOrComeTooLateIsRefused) {
  using std::chrono::milliseconds;
  EXPECT_THAT(RefusalOf(Welcome{.status_interval = milliseconds(0)}),
              HasSubstr("status interval of 0 ms, expected 10 to 5000"));
  EXPECT_THAT(RefusalOf(Welcome{.status_interval = milliseconds(5001)}), HasSubstr("5001 ms"));
  EXPECT_EQ(RefusalOf(Welcome{.status_interval = milliseconds(10)}), "read");
  EXPECT_EQ(RefusalOf(Welcome{.status_interval = kStatusAgeMax}), "read");
}

// What a coordinator makes of what it accepted: kBricksMax bricks over all hops, texts to their
// bounds (coordinator/placement.cc has the sum).
TEST(Wire, TheLargestMessagesThatBoundsAllowAreWrittenAndRead) {
  const std::string name(kNameBytesMax, 'n');
  const std::string endpoint(kEndpointBytesMax, 'e');
  const ModelId model{.name = std::string(kModelNameBytesMax, 'm'), .digest = {}};
  std::vector<LayerBrick> bricks;
  for (int i = 0; i < static_cast<int>(kBricksMax); ++i) {
    bricks.push_back({.layers = {i, i + 1}, .digest = {}, .weight_bytes = uint64_t{1} << 40});
  }
  NodeStatus status;
  status.bricks = bricks;
  status.load_status = DataLoss(std::string(kStatusTextBytesMax, 's'));
  EXPECT_EQ(RefusalOf(status), "read");
  EXPECT_EQ(RefusalOf(Placement{.id = 1,
                                .model = model,
                                .layers = {0, 4096},
                                .bricks = bricks,
                                .next = NodeId{60},
                                .next_endpoint = endpoint,
                                .next_others = std::vector<Introduction>(
                                    kStopHostsMax, {.node = NodeId{61}, .endpoint = endpoint})}),
            "read");
  Route route;
  route.grant.model = model;
  for (int i = 0; i < kHopsMax; ++i) {
    route.grant.hops.push_back({.node = NodeId{60},
                                .name = name,
                                .layers = {512 * i, 512 * i + 512},
                                .bricks = std::vector<Digest>(kBricksMax / kHopsMax),
                                .endpoint = endpoint});
  }
  EXPECT_EQ(RefusalOf(route), "read");
}

TEST(Wire, ASpeedThatIsNoneIsRefused) {
  NodeStatus status;
  for (const double speed : {std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(), -0.5, 1.1e6}) {
    status.ns_per_byte = speed;
    EXPECT_THAT(RefusalOf(status), HasSubstr("time of a byte beyond"));
  }
  status.ns_per_byte = kNsPerByteMax;
  EXPECT_EQ(RefusalOf(status), "read");
  status.memory_bytes = (uint64_t{1} << 53) + 1;
  EXPECT_THAT(RefusalOf(status), HasSubstr("beyond 2^53"));
}

TEST(Wire, CountsBeyondTheirBoundsAreRefusedByName) {
  // Written by hand, since the writer refuses to make them: a NeedPrefix of 2^31 positions.
  std::vector<uint64_t> words = Bytes(NeedPrefix{.session = {}, .have = 0x5a5a5a5a});
  for (uint64_t& word : words) {
    if ((word & 0xffffffff) == 0x5a5a5a5a) word = 0xffffffff;
  }
  EXPECT_THAT(Refusal(words), HasSubstr("positions 4294967295 is beyond 2^31"));
}

// --- Bricks ---

TEST(Wire, AChunkKeepsItsLimitAndLiesWithinItsBrick) {
  const BrickChunk whole{.digest = {},
                         .offset = 0,
                         .total = kBrickChunkBytesMax,
                         .bytes = std::vector<uint8_t>(kBrickChunkBytesMax, 5)};
  EXPECT_EQ(Refusal(Bytes(whole)), "read");
  BrickChunk beyond = whole;
  beyond.total = 100;
  EXPECT_THAT(Refusal(Bytes(beyond)), HasSubstr("of a brick at 0 of 100"));
  beyond = whole;
  beyond.offset = ~uint64_t{0};
  EXPECT_THAT(Refusal(Bytes(beyond)), HasSubstr("within it are allowed"));
  EXPECT_THAT(Refusal(Bytes(BrickChunk{.digest = {}, .total = 5})),
              HasSubstr("0 bytes and code 0"));
  BrickChunk both = whole;
  both.status = NotFound("and yet it comes");
  EXPECT_THAT(Refusal(Bytes(both)), HasSubstr("and code 5"));
}

TEST(Wire, RefusesDoorsOfNobody) {
  EXPECT_EQ(Refusal(Bytes(Doors{{{"tcp://10.0.0.1:4750", {}, {}}}})), "read");
  EXPECT_THAT(Refusal(Bytes(Doors{})), HasSubstr("doors of a node that has none"));
}

TEST(Wire, ARequestForABrickKeepsItsLimit) {
  EXPECT_EQ(Refusal(Bytes(BrickRequest{{}, 0, kBrickChunkBytesMax})), "read");
  EXPECT_THAT(Refusal(Bytes(BrickRequest{{}, 0, 0})), HasSubstr("expected 1 to 65536"));
  EXPECT_THAT(Refusal(Bytes(BrickRequest{{}, 0, kBrickChunkBytesMax + 1})),
              HasSubstr("expected 1 to 65536"));
}

}  // namespace
}  // namespace mortar
