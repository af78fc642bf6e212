// Goal: people do not wait for the first word.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/integration/cli_process.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

TEST(CliCost, AWarmRunGivesItsFirstTextWithinTwoSeconds) {
  const ProgramRun run{.arguments = {"run", "-m", TestModelPath(), "-p", "Why is the sky blue?",
                                     "-n", "4", "--temp", "0"}};
  ASSERT_EQ(RunMortar(run).exit_code, 0);  // warms the page cache, keeps the digests
  const ProgramResult result = RunMortar(run);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  // Promised to users; about 0.3 s on two cores.
  EXPECT_GE(result.first_byte.count(), 0);
  EXPECT_LT(result.first_byte, std::chrono::seconds(2));
}

}  // namespace
}  // namespace mortar
