// Goal: a sampling flag that the table lets pass is never refused later, with the model loaded.
#include "cli/sampling.h"

#include <gtest/gtest.h>

namespace mortar {
namespace {

std::string Typed(const FlagSpec& flag, double value) {
  return flag.type == FlagType::kInt ? std::to_string(static_cast<int64_t>(value))
                                     : std::to_string(value);
}

TEST(Sampling, TheSamplerAcceptsBothEndsOfEveryFlag) {
  int checked = 0;
  for (const FlagSpec& flag : Flags()) {
    if ((flag.commands & kRun) == 0 || flag.group != "Sampling") continue;
    for (const double value : {flag.min, flag.max}) {
      const std::string argument = "--" + std::string(flag.name) + "=" + Typed(flag, value);
      const auto line = ParseCommandLine({"run", argument});
      ASSERT_TRUE(line.ok()) << Message(line.status());
      const auto resolved = Resolve(*line, {});
      ASSERT_TRUE(resolved.ok()) << Message(resolved.status());
      const absl::Status status = CheckSamplerOptions(ReadSampler(resolved->settings, 1));
      EXPECT_TRUE(status.ok()) << argument << ": " << Message(status);
      ++checked;
    }
  }
  EXPECT_GE(checked, 16);
}

}  // namespace
}  // namespace mortar
