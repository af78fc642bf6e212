// Any sequence of messages to a node that sends bricks and fetches one: counted, answered or kept,
// within its bounds. The byte before each message says from whom it is, and how much time passes.
#include <chrono>
#include <cstdint>
#include <map>
#include <vector>

#include "common/check.h"
#include "protocol/brick_exchange.h"
#include "protocol/local_transport.h"
#include "tests/fuzz/message_input.h"

namespace mortar {
namespace {

constexpr NodeId kSelf{70};
constexpr NodeId kNodes[] = {kCoordinatorNode, NodeId{50}, NodeId{60}, NodeId{61}};
constexpr uint64_t kHere = 100'000;

// One brick is here, named by zeros; everything else can be written.
class OneBrick final : public BrickStore {
 public:
  std::map<Digest, uint64_t> parts;
  std::optional<uint64_t> Find(const Digest& digest) const override {
    return digest == Digest{} ? std::optional(kHere) : std::nullopt;
  }
  absl::Status Read(const Digest&, uint64_t offset, std::span<uint8_t> out) override {
    CHECK(offset < kHere && out.size() <= kHere - offset && !out.empty());
    return absl::OkStatus();
  }
  absl::StatusOr<Begun> Begin(const Digest& digest, uint64_t) override {
    return Begun{.whole = false, .bytes = parts[digest]};
  }
  absl::Status Append(const Digest& digest, uint64_t offset,
                      std::span<const uint8_t> bytes) override {
    CHECK(offset == parts[digest] && !bytes.empty());
    parts[digest] += bytes.size();
    CHECK(parts[digest] <= kOutlineBytesMax);
    return absl::OkStatus();
  }
  absl::Status Finish(const Digest& digest) override {
    parts[digest] = 0;
    return digest.bytes[0] % 2 == 0 ? absl::OkStatus() : DataLoss("another digest");
  }
  absl::Status Discard(const Digest& digest) override {
    parts[digest] = 0;
    return absl::OkStatus();
  }
};

}  // namespace
}  // namespace mortar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mortar;  // NOLINT(google-build-using-namespace): one function
  LocalNetwork network;
  ManualClock clock;
  const Logger log(LogLevel::kOff, LogFormat::kText);
  std::vector<std::unique_ptr<Transport>> others;
  for (const NodeId node : kNodes) others.push_back(network.Attach(node));
  const auto own = network.Attach(kSelf);
  OneBrick store;
  PumpedJobs jobs;
  BrickExchange exchange({*own, store, clock, jobs, log});
  Digest odd;
  odd.bytes.fill(1);
  exchange.Want({{.digest = odd, .bytes = 0, .name = "outline"},
                 {.digest = Digest{}, .bytes = 70'000, .name = "layers.1"}});
  ForEachMessage(data, size, [&](uint8_t who, AnyMessage message) {
    if (std::holds_alternative<Activation>(message)) return;
    (void)others[who & 3]->Send(kSelf, std::move(message));
    clock.Advance(std::chrono::milliseconds(100) * (who >> 2));
    for (int i = 0; i < 3; ++i) {
      while (exchange.Poll()) {
      }
      jobs.RunOne();
    }
    for (const auto& other : others) {
      while (other->Poll()) {
      }
    }
  });
  return 0;
}
