// Goal: nodes that do not become ready end the start with a reason, not with a wait without end.
#include "cli/embedded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "cli/flags.h"
#include "edge/drafter.h"
#include "tests/support/tiny_model.h"
#include "tests/support/uneven_clocks.h"

namespace mortar {
namespace {

using testing::HasSubstr;

TEST(Embedded, TheMostGuessesThatCanBeAskedForAreThoseOfAStep) {
  EXPECT_EQ(FindFlag("draft-max", kRun)->max, kDraftMax);
}

TEST(Embedded, NodesThatAreNotReadyInTimeEndTheStartWithTheReason) {
  const std::string path =
      testing::TempDir() + "mortar_embedded_" + std::to_string(getpid()) + ".gguf";
  WriteTinyModel({}, path);
  const auto line = ParseCommandLine({"run", "-m", path, "--front", "1", "--back", "1"});
  ASSERT_TRUE(line.ok());
  const auto resolved = Resolve(*line, {});
  ASSERT_TRUE(resolved.ok());
  const Logger log(LogLevel::kOff, LogFormat::kText);
  const Environment environment = {{"XDG_CACHE_HOME", testing::TempDir()}};
  const auto model = OpenHostedModel(resolved->settings, environment, log);
  ASSERT_TRUE(model.ok()) << Message(model.status());
  const auto options = ReadEmbeddedOptions(resolved->settings, model->config);
  ASSERT_TRUE(options.ok()) << Message(options.status());
  const auto kernels = SelectKernels("");
  ASSERT_TRUE(kernels.ok());
  const auto pool = ThreadPool::Create(1);
  ASSERT_TRUE(pool.ok());
  const HurriedClock clock(std::chrono::hours(1));
  const auto nodes = Embedded::Start(*options, {*model, **kernels, **pool, clock, log});
  EXPECT_TRUE(absl::IsUnavailable(nodes.status()));
  EXPECT_THAT(Message(nodes.status()), HasSubstr("not ready within 600 s: "));
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".digests");
}

}  // namespace
}  // namespace mortar
