// Goal: what the program needs of a machine: no instruction that an old CPU lacks, and no more
// memory than the model and its KV take.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/integration/cli_process.h"
#include "tests/support/test_model.h"
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

TEST(CliMachine, MemoryIsTheModelItsKvAndLittleElse) {
  const TestFolder folder;
  std::string text;
  for (int i = 0; i < 240; ++i) text += "Sentence number one follows the other. ";
  const ProgramResult result =
      RunMortar(ProgramRun{.arguments = {"run", "-m", TestModelPath(), "--raw", "--json", "-c",
                                         "4096", "-n", "2", "-f", folder.Write("prompt", text)},
                           .time_out = std::chrono::seconds(300)});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto positions = static_cast<int64_t>(result.Json()["prompt_tokens"].size());
  EXPECT_GT(positions, 1500);
  const auto model_bytes = static_cast<int64_t>(std::filesystem::file_size(TestModelPath()));
  // 30 layers, keys and values, 3 heads of 64 f16 each. Of the context what is used: the kernel
  // gives memory page by page, and one of KV has 64 positions.
  const int64_t kv_bytes = (positions + 64) * 30 * 2 * 3 * 64 * 2;
  // 100 MB: the vocabulary, activations of a batch of 512, libraries, and the rows on their way.
  EXPECT_LE(result.resident_bytes_max, model_bytes + kv_bytes + 100'000'000);
}

}  // namespace
}  // namespace mortar
