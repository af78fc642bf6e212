// Goal: the default model is looked for where ./dev puts it.
#include "cli/model.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

namespace mortar {
namespace {

TEST(DefaultModel, IsInTheCacheOfTheEnvironmentOrOfTheUser) {
  const std::string file = "/mortar/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  EXPECT_EQ(DefaultModelPath({{"XDG_CACHE_HOME", "/x"}, {"HOME", "/h"}}), "/x" + file);
  EXPECT_EQ(DefaultModelPath({{"HOME", "/h"}}), "/h/.cache" + file);
  const passwd* user = getpwuid(getuid());
  ASSERT_NE(user, nullptr);
  EXPECT_EQ(DefaultModelPath({}), user->pw_dir + ("/.cache" + file));
}

}  // namespace
}  // namespace mortar
