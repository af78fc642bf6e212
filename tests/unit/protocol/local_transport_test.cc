// Goal: in-process queues keep order, count each frame once at its sender, and are bounded for
// each peer on its own.
#include "protocol/local_transport.h"

#include <gtest/gtest.h>

#include <thread>

namespace mortar {
namespace {

constexpr NodeId kA{100};
constexpr NodeId kB{200};
constexpr NodeId kC{300};

Activation Frame(RowsPool& pool, uint64_t step, int n) {
  Activation frame;
  frame.envelope.step = step;
  frame.envelope.n = static_cast<uint32_t>(n);
  frame.rows = pool.Take(n, 64);
  return frame;
}

uint64_t StepOf(const std::optional<Incoming>& incoming) {
  return std::get<Activation>(incoming->message).envelope.step;
}

TEST(LocalTransport, DeliversInOrderWithItsSender) {
  LocalNetwork network;
  RowsPool pool;
  auto a = network.Attach(kA);
  auto b = network.Attach(kB);
  EXPECT_FALSE(b->Poll().has_value());
  ASSERT_TRUE(a->Send(kB, Frame(pool, 1, 1)).ok());
  ASSERT_TRUE(a->Send(kB, Frame(pool, 2, 1)).ok());
  ASSERT_TRUE(a->Send(kB, End{}).ok());
  const std::optional<Incoming> first = b->Poll();
  EXPECT_EQ(first->from, kA);
  EXPECT_EQ(StepOf(first), 1u);
  EXPECT_EQ(StepOf(b->Poll()), 2u);
  EXPECT_TRUE(std::holds_alternative<End>(b->Poll()->message));
  EXPECT_FALSE(b->Poll().has_value());
}

TEST(LocalTransport, CountsFramesAndTheirBytesOnceAtTheSender) {
  LocalNetwork network;
  RowsPool pool;
  auto a = network.Attach(kA);
  auto b = network.Attach(kB);
  ASSERT_TRUE(a->Send(kB, Frame(pool, 1, 3)).ok());
  ASSERT_TRUE(a->Send(kB, Activation{}).ok());  // an empty answer is a frame as well
  ASSERT_TRUE(a->Send(kB, Cancel{}).ok());
  while (b->Poll()) {
  }
  ASSERT_EQ(a->Links().size(), 1u);
  const LinkCounters link = a->Links()[0];
  EXPECT_EQ(link.to, kB);
  EXPECT_EQ(link.frames, 2u);
  EXPECT_EQ(link.frame_bytes, 2 * EncodedBytes(Envelope{}) + 3 * 64 * 4);
  EXPECT_EQ(link.rows, 3u);
  EXPECT_EQ(link.others, 1u);
  EXPECT_TRUE(b->Links().empty());
}

TEST(LocalTransport, HandsRowsOverWithoutACopy) {
  LocalNetwork network;
  RowsPool pool;
  auto a = network.Attach(kA);
  auto b = network.Attach(kB);
  Activation frame = Frame(pool, 1, 1);
  const float* floats = frame.rows.data();
  ASSERT_TRUE(a->Send(kB, std::move(frame)).ok());
  EXPECT_EQ(std::get<Activation>(b->Poll()->message).rows.data(), floats);
}

TEST(LocalTransport, AFullQueueRefusesOnePeerAndServesTheOthers) {
  LocalNetwork network(
      {.queue_bytes_max = 3 * (EncodedBytes(Envelope{}) + 256), .queue_messages_max = 100});
  RowsPool pool;
  auto a = network.Attach(kA);
  auto b = network.Attach(kB);
  auto c = network.Attach(kC);
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(a->Send(kB, Frame(pool, i, 1)).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(a->Send(kB, Frame(pool, 3, 1))));
  EXPECT_EQ(a->Links()[0].refused, 1u);
  EXPECT_TRUE(c->Send(kB, Frame(pool, 9, 1)).ok());
  b->Poll();  // room again
  EXPECT_TRUE(a->Send(kB, Frame(pool, 4, 1)).ok());
}

TEST(LocalTransport, SmallMessagesAreBoundedByTheirNumber) {
  LocalNetwork network({.queue_bytes_max = 1 << 20, .queue_messages_max = 5});
  auto a = network.Attach(kA);
  auto b = network.Attach(kB);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(a->Send(kB, End{}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(a->Send(kB, End{})));
}

TEST(LocalTransport, ANodeThatIsGoneIsNotFound) {
  LocalNetwork network;
  auto a = network.Attach(kA);
  EXPECT_TRUE(absl::IsNotFound(a->Send(kB, End{})));
  auto b = network.Attach(kB);
  EXPECT_TRUE(a->Send(kB, End{}).ok());
  b.reset();
  EXPECT_TRUE(absl::IsNotFound(a->Send(kB, End{})));
}

TEST(LocalTransport, NodesLiveOnThreadsOfTheirOwn) {
  LocalNetwork network;
  RowsPool pool;
  auto a = network.Attach(kA);
  auto b = network.Attach(kB);
  constexpr uint64_t kFrames = 2000;
  std::thread sender([&] {
    for (uint64_t i = 0; i < kFrames; ++i) {
      while (!a->Send(kB, Frame(pool, i, 1)).ok()) std::this_thread::yield();
    }
  });
  for (uint64_t i = 0; i < kFrames;) {
    const std::optional<Incoming> incoming = b->Poll();
    if (!incoming) continue;
    ASSERT_EQ(StepOf(incoming), i++);
  }
  sender.join();
}

}  // namespace
}  // namespace mortar
