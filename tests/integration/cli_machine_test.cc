// Goal: what the program needs of a machine: no instruction that an old CPU lacks.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/integration/cli_process.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

#if defined(__x86_64__)
TEST(CliMachine, ACpuWithoutAvxGivesTheSameTokens) {
  constexpr char kEmulator[] = "/usr/bin/qemu-x86_64-static";
  ASSERT_EQ(access(kEmulator, X_OK), 0) << kEmulator << " is missing: ./dev test installs it";
  const TestFolder folder;
  const std::string model = folder.Path("tiny.gguf");
  WriteTinyModel({.type = TensorType::kQ4_1}, model);
  ProgramRun run{.arguments = {"run", "-m", model, "--raw", "--json", "-p", "The quick brown fox",
                               "-n", "24", "--temp", "0"}};
  const ProgramResult here = RunMortar(run);
  // Of 2008: SSE4.2, and neither AVX, FMA nor F16C. Its CPU is emulated with the program's code.
  run.under = {kEmulator, "-cpu", "Nehalem"};
  const ProgramResult there = RunMortar(run);
  EXPECT_EQ(here.exit_code, 0) << here.err;
  ASSERT_EQ(there.exit_code, 0) << there.err;
  EXPECT_EQ(here.Json()["tokens"].size(), 24u);
  EXPECT_EQ(there.Json()["tokens"], here.Json()["tokens"]);
  EXPECT_EQ(there.Json()["text"], here.Json()["text"]);
}
#endif

}  // namespace
}  // namespace mortar
