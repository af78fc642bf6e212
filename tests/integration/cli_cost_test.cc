// Goal: people do not wait for the first word.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "tests/integration/cli_process.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

TEST(CliCost, AWarmRunGivesItsFirstTextWithinTwoSeconds) {
  const ProgramRun run{.arguments = {"run", "-m", TestModelPath(), "-p", "Why is the sky blue?",
                                     "-n", "4", "--temp", "0"}};
  ASSERT_EQ(RunMortar(run).exit_code, 0);  // warms the page cache, keeps the digests
  // Promised to users; about 0.3 s on two cores. The least of a few, since what else the machine
  // does only adds to it.
  constexpr auto kPromised = std::chrono::seconds(2);
  auto least = std::chrono::milliseconds::max();
  for (int attempt = 0; attempt < 5 && least >= kPromised; ++attempt) {
    const ProgramResult result = RunMortar(run);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ASSERT_GE(result.first_byte.count(), 0);
    least = std::min<std::chrono::milliseconds>(least, result.first_byte);
  }
  EXPECT_LT(least, kPromised);
}

}  // namespace
}  // namespace mortar
