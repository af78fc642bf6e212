// Goal: layers are taken over only into memory that the edge may have, and a refusal says what was
// needed, what there was and what to do.
#include "cli/take_over.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mortar {
namespace {

using testing::HasSubstr;

constexpr uint64_t kGib = uint64_t{1} << 30;

MiddleMemory Memory(uint64_t available) {
  return {.layers = "[2, 28)",
          .weights = 3 * kGib,
          .kv = kGib / 2,
          .scratch = kGib / 2,
          .held = kGib,
          .available = available};
}

std::string Refusal(std::optional<uint64_t> edge_memory, uint64_t available) {
  const absl::Status fits =
      CheckMiddleFits({.allowed = true, .edge_memory = edge_memory}, Memory(available));
  EXPECT_TRUE(fits.ok() || absl::IsResourceExhausted(fits)) << Message(fits);
  return Message(fits);
}

TEST(CheckMiddleFits, WithoutEdgeMemoryTakesAtMostHalfOfWhatIsFree) {
  EXPECT_EQ(Refusal({}, 8 * kGib), "");
  EXPECT_EQ(
      Refusal({}, 8 * kGib - 1),
      "layers [2, 28) need 4.00 GiB (512.0 MiB of it for the context, -c), this machine has "
      "8.00 GiB free, of which half may be taken; allow more with --edge-memory, or lower -c");
}

TEST(CheckMiddleFits, EdgeMemoryIsForAllThatTheEdgeHolds) {
  EXPECT_EQ(Refusal(5 * kGib, 4 * kGib), "");
  EXPECT_THAT(Refusal(5 * kGib - 1, 100 * kGib),
              HasSubstr("beside the 1.00 GiB of its own, --edge-memory allows 5.00 GiB in all"));
}

TEST(CheckMiddleFits, EdgeMemoryIsNoMemoryThatTheMachineLacks) {
  EXPECT_THAT(Refusal(100 * kGib, 4 * kGib - 1), HasSubstr("this machine has 4.00 GiB free"));
}

TEST(CheckMiddleFits, WhereNothingIsKnownOfTheMachineAPersonMustSay) {
  EXPECT_THAT(Refusal({}, 0), HasSubstr("say with --edge-memory what this edge may take"));
  EXPECT_EQ(Refusal(5 * kGib, 0), "");
}

}  // namespace
}  // namespace mortar
