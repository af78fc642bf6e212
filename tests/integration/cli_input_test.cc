// Goal: whatever is wrong with the input, the program says so in one line with what to do, and
// ends with 1 (failed) or 2 (called wrongly), without a hang and without a stack of C++ text.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/integration/cli_process.h"
#include "tests/support/test_model.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

std::string FileBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

class CliInputTest : public testing::Test {
 protected:
  void SetUp() override { WriteTinyModel({}, model_); }
  ProgramResult Run(std::vector<std::string> extra) {
    std::vector<std::string> arguments = {"run", "-m", model_, "--raw", "-p", "ab", "-n", "2"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return RunMortar(arguments);
  }
  ProgramResult RunModel(const std::string& path) {
    return RunMortar({"run", "-m", path, "--raw", "-p", "ab", "-n", "2"});
  }

  TestFolder folder_;
  std::string model_ = folder_.Path("tiny.gguf");
};

TEST_F(CliInputTest, TheTinyModelRuns) {
  const ProgramResult result = Run({"--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.Json()["tokens"].size(), 2u);
}

TEST_F(CliInputTest, MissingModel) {
  ExpectOneLineError(RunModel(folder_.Path("none.gguf")), 1, "-m FILE");
  ExpectOneLineError(RunMortar(ProgramRun{.arguments = {"run", "-p", "a"},
                                          .environment = {{"XDG_CACHE_HOME", folder_.Path("x")}}}),
                     1, "./dev run");
}

TEST_F(CliInputTest, ThingsThatAreNoModel) {
  ExpectOneLineError(RunModel(folder_.Write("empty.gguf", "")), 1, "empty.gguf");
  ExpectOneLineError(RunModel(folder_.Write("text.gguf", "this is no model at all, but text")), 1,
                     "text.gguf");
  ExpectOneLineError(RunModel("/"), 1, "/");
}

TEST_F(CliInputTest, TruncatedModelsOfEveryLength) {
  const std::string whole = FileBytes(model_);
  for (const size_t eighth : {1, 2, 3, 4, 5, 6, 7}) {
    const std::string path = folder_.Write("cut.gguf", whole.substr(0, whole.size() * eighth / 8));
    ExpectOneLineError(RunModel(path), 1, "cut.gguf");
  }
}

TEST_F(CliInputTest, CorruptedModel) {
  std::string bytes = FileBytes(model_);
  for (size_t i = 8; i < 64; ++i) bytes[i] = static_cast<char>(0xff);
  ExpectOneLineError(RunModel(folder_.Write("corrupt.gguf", bytes)), 1, "corrupt.gguf");
}

TEST_F(CliInputTest, CpusThatCannotBeHad) {
  for (const std::string cpus : {"99998", "0-", "all", ""}) {
    ExpectOneLineError(RunMortar({"run", "-m", model_, "-p", "ab", "--cpus", cpus}), 2, "--cpus");
  }
}

TEST_F(CliInputTest, ALayerThatAWorkerCannotLoadIsReportedOnce) {
  GgufWriter writer = MakeTinyModel({});
  writer.FindTensor("blk.1.attn_q.weight").shape = {32, 128};
  const std::string path = folder_.Path("shape.gguf");
  writer.WriteTo(path);
  ExpectOneLineError(
      RunMortar({"run", "-m", path, "--raw", "-p", "ab", "-n", "2", "--front", "1", "--back", "1"}),
      1, "blk.1.attn_q.weight");
}

TEST_F(CliInputTest, WeightsThatAreNoNumbersEndItInsteadOfText) {
  for (const char* tensor : {"output_norm.weight", "blk.1.attn_norm.weight"}) {
    GgufWriter writer = MakeTinyModel({});
    for (uint8_t& byte : writer.FindTensor(tensor).data) byte = 0xff;
    const std::string path = folder_.Path("damaged.gguf");
    writer.WriteTo(path);
    for (const char* temperature : {"0", "1"}) {
      ProgramRun run{.arguments = {"run", "-m", path, "--json", "--raw", "-p", "ab", "-n", "2",
                                   "--temp", temperature, "--front", "1", "--back", "1"}};
      ExpectOneLineError(RunMortar(run), 1, "finite");
    }
  }
}

TEST_F(CliInputTest, StopTextsAreCheckedBeforeTheModelIsOpened) {
  for (const std::string& stop : {std::string(), std::string(257, 'x')}) {
    ExpectOneLineError(
        RunMortar({"run", "-m", folder_.Path("none.gguf"), "-p", "hi", "--stop", stop}), 2,
        "--stop");
  }
}

TEST_F(CliInputTest, UnknownArchitecture) {
  GgufWriter writer = MakeTinyModel({});
  GgufWriter::Key& key = writer.FindKey("general.architecture");
  key.value.clear();
  AppendString("mamba9", key.value);
  writer.WriteTo(folder_.Path("mamba.gguf"));
  const ProgramResult result = RunModel(folder_.Path("mamba.gguf"));
  ExpectOneLineError(result, 1, "mamba9");
  EXPECT_NE(result.err.find("llama"), std::string::npos) << result.err;
}

TEST_F(CliInputTest, UnknownTensorType) {
  GgufWriter writer = MakeTinyModel({});
  writer.tensors[0].type = 77;
  writer.WriteTo(folder_.Path("type.gguf"));
  ExpectOneLineError(RunModel(folder_.Path("type.gguf")), 1, "77");
}

TEST_F(CliInputTest, PromptLongerThanTheContext) {
  ExpectOneLineError(
      RunMortar({"run", "-m", model_, "--raw", "-c", "64", "-p", std::string(200, 'x')}), 1,
      "context");
}

TEST_F(CliInputTest, ContextLongerThanTheModels) {
  ExpectOneLineError(Run({"-c", "100000"}), 2, "-c/--ctx-size");
}

TEST_F(CliInputTest, InvalidUtf8) {
  ExpectOneLineError(RunMortar({"run", "-m", model_, "-p", "ab\xff"}), 1, "byte 2");
  ExpectOneLineError(RunMortar({"run", "-m", model_, "-f", folder_.Write("p", "\xc0\xaf")}), 1,
                     "UTF-8");
  ExpectOneLineError(
      RunMortar(ProgramRun{.arguments = {"tokenize", "-m", model_}, .input = "a\x80"}), 1,
      "standard input");
}

TEST_F(CliInputTest, NothingToAnswer) {
  ExpectOneLineError(RunMortar({"run", "-m", model_}), 1, "empty");
  ExpectOneLineError(RunMortar({"run", "-m", model_, "-f", folder_.Path("none")}), 1, "none");
  ExpectOneLineError(RunMortar({"run", "-m", model_, "-p", "a", "-f", "b"}), 2, "-p and -f");
}

TEST_F(CliInputTest, EndlessGenerationIsRefusedOnPurpose) {
  const ProgramResult result = RunMortar({"run", "-m", model_, "-p", "a", "-n", "-1"});
  ExpectOneLineError(result, 2, "refused on purpose");
}

TEST_F(CliInputTest, UnknownFlagsKeysAndCommands) {
  ExpectOneLineError(RunMortar({"run", "--nonsense"}), 2, "--nonsense");
  ExpectOneLineError(RunMortar({"nonsense"}), 2, "nonsense");
  ExpectOneLineError(RunMortar(std::vector<std::string>{}), 2, "--help");
  ExpectOneLineError(Run({"--config", folder_.Write("c.toml", "nonsense = 1\n")}), 2, "nonsense");
  ExpectOneLineError(Run({"--config", folder_.Write("c.toml", "seed = [\n")}), 2, "c.toml");
  ExpectOneLineError(Run({"--config", folder_.Path("none.toml")}), 2, "none.toml");
  ExpectOneLineError(Run({"--kv", "q4_0"}), 2, "q4_0");
  ExpectOneLineError(Run({"--ubatch-size", "513"}), 2, "513");
}

TEST_F(CliInputTest, CutsThatDoNotFit) {
  ExpectOneLineError(Run({"--front", "0"}), 2, "--show-tokens-to-cloud");
  ExpectOneLineError(Run({"--back", "0"}), 2, "--show-tokens-to-cloud");
  ExpectOneLineError(Run({"--front", "4", "--back", "4"}), 2, "4 layers");
  ExpectOneLineError(Run({"--workers", "1"}), 2, "cannot share 0 layers");  // 2 + 2 of 4
  ExpectOneLineError(Run({"--workers", "2", "--front", "1", "--back", "1", "--layers", "1,5"}), 2,
                     "layers");
}

TEST_F(CliInputTest, ControlCharactersCannotForgeALine) {
  ExpectOneLineError(RunMortar({"run", "--non\nmortar: all is well"}), 2, "--non\\x0a");
}

TEST_F(CliInputTest, AFullDiskIsReported) {
  const std::string command = "'" MORTAR_BINARY "' version >/dev/full 2>/dev/null";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
}

// 1 only when none of the program's own descriptors took the number of its output.
TEST_F(CliInputTest, AClosedOutputFailsAndNothingElseTakesItsNumber) {
  const std::string command = "'" MORTAR_BINARY "' version >&- 2>/dev/null";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
  const std::string node =
      "'" MORTAR_BINARY
      "' coordinator --listen tcp://127.0.0.1:0 <&- >&- 2>&- & sleep 1; "
      "ls -l /proc/$!/fd/0 /proc/$!/fd/1 /proc/$!/fd/2 | grep -c /dev/null | grep -q 3; found=$?; "
      "kill $!; exit $found";
  EXPECT_EQ(WEXITSTATUS(std::system(node.c_str())), 0);
}

TEST_F(CliInputTest, AnInterruptEndsItAlsoWhileItsReaderIsStalled) {
  const ProgramResult result = RunMortar(ProgramRun{
      .arguments = {"version"}, .stalled_reader = true, .time_out = std::chrono::seconds(10)});
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.err, "");
}

TEST_F(CliInputTest, AReaderThatWentAwayEndsItQuietly) {
  // The default model, whose tokens take so long that most come after the reader has gone.
  const ProgramResult result = RunMortar(
      ProgramRun{.arguments = {"run", "-m", TestModelPath(), "--raw", "-p", "Once upon a time",
                               "-n", "200", "-c", "256", "--temp", "0"},
                 .close_after_bytes = 3});
  EXPECT_EQ(result.exit_code, 141);
  EXPECT_EQ(result.err.find("mortar:"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace mortar
