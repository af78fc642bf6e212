// Goal: the command line wins over the environment, the environment over the file, the file over
// the default; and a mistake in any of them is found, whoever made it.
#include "cli/settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace mortar {
namespace {

class SettingsTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "mortar_settings_" + std::to_string(getpid()) + ".toml";
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::string File(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    return path_;
  }
  static absl::StatusOr<Resolved> Try(std::vector<std::string> arguments,
                                      const Environment& environment = {}) {
    const auto line = ParseCommandLine(arguments);
    EXPECT_TRUE(line.ok()) << Message(line.status());
    return Resolve(*line, environment);
  }
  static Settings Get(std::vector<std::string> arguments, const Environment& environment = {}) {
    auto resolved = Try(std::move(arguments), environment);
    EXPECT_TRUE(resolved.ok()) << Message(resolved.status());
    return resolved.ok() ? resolved->settings : Settings();
  }
  std::string FileRefusal(const std::string& text, const std::string& command = "run") {
    const auto resolved = Try({command, "--config", File(text)});
    EXPECT_FALSE(resolved.ok()) << text;
    const std::string message = Message(resolved.status());
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_NE(message.find(path_), std::string::npos) << message;
    return message;
  }

  std::string path_;
};

TEST_F(SettingsTest, EachLayerWinsOverTheOnesBelow) {
  const std::string file = File("n-predict = 10\n");
  EXPECT_EQ(Get({"run"}).Int("n-predict"), 128);
  EXPECT_EQ(Get({"run", "--config", file}).Int("n-predict"), 10);
  EXPECT_EQ(Get({"run", "--config", file}, {{"MORTAR_N_PREDICT", "20"}}).Int("n-predict"), 20);
  EXPECT_EQ(
      Get({"run", "--config", file, "-n", "30"}, {{"MORTAR_N_PREDICT", "20"}}).Int("n-predict"),
      30);
}

TEST_F(SettingsTest, TheSourceOfAValueIsKnown) {
  const Settings settings =
      Get({"run", "-n", "3", "--config", File("temp = 1\n")}, {{"MORTAR_SEED", "7"}});
  EXPECT_EQ(settings.Source("n-predict"), FlagSource::kCommandLine);
  EXPECT_EQ(settings.Source("seed"), FlagSource::kEnvironment);
  EXPECT_EQ(settings.Source("temp"), FlagSource::kFile);
  EXPECT_EQ(settings.Source("top-k"), FlagSource::kDefault);
}

TEST_F(SettingsTest, TheFileMayBeNamedByTheEnvironment) {
  EXPECT_EQ(Get({"run"}, {{"MORTAR_CONFIG", File("seed = 4\n")}}).OptionalInt("seed"), 4);
}

TEST_F(SettingsTest, TheLastOfARepeatedFlagHolds) {
  EXPECT_EQ(Get({"run", "-n", "1", "-n", "2"}).Int("n-predict"), 2);
  EXPECT_FALSE(Get({"run", "--raw", "--no-raw"}).Bool("raw"));
}

TEST_F(SettingsTest, FlagsWithoutADefaultAreNotSet) {
  EXPECT_FALSE(Get({"run"}).OptionalInt("seed").has_value());
  EXPECT_TRUE(Get({"run"}).OptionalInts("layers").empty());
}

TEST_F(SettingsTest, AFileSpeaksInTomlsTypes) {
  const Settings settings = Get({"run", "--config",
                                 File("raw = true\n"
                                      "temp = 0.5\n"
                                      "kv = \"f32\"\n"
                                      "layers = [20, 6]\n"
                                      "stop = [\"a\", \"b\"]\n")});
  EXPECT_TRUE(settings.Bool("raw"));
  EXPECT_EQ(settings.Float("temp"), 0.5);
  EXPECT_EQ(settings.String("kv"), "f32");
  EXPECT_EQ(settings.OptionalInts("layers"), (std::vector<int64_t>{20, 6}));
  EXPECT_EQ(settings.Strings("stop"), (std::vector<std::string>{"a", "b"}));
}

TEST_F(SettingsTest, AKeyOfAnotherCommandIsCheckedAndLeft) {
  const Settings settings = Get({"tokenize", "--config", File("n-predict = 5\n")});
  EXPECT_FALSE(settings.Has("n-predict"));
  FileRefusal("n-predict = 0\n", "tokenize");
}

TEST_F(SettingsTest, BrokenFilesAreRefusedWithTheirLine) {
  EXPECT_NE(FileRefusal("n-predict = 5\nnonsense = 1\n").find(":2: nonsense: unknown key"),
            std::string::npos);
  EXPECT_NE(FileRefusal("n-predict = \"5\"\n").find("wrong type"), std::string::npos);
  EXPECT_NE(FileRefusal("n-predict = 5\nn-predict = 6\n").find("TOML"), std::string::npos);
  FileRefusal("n-predict = \n");
  FileRefusal("[run]\nn-predict = 5\n");
  FileRefusal("predict = 5\n");         // aliases are for the command line
  FileRefusal("config = \"other\"\n");  // a file does not name another
  FileRefusal("stop = []\n");
  FileRefusal("stop = [\"a\", 1]\n");
  FileRefusal("seed = 2024-01-01\n");
  FileRefusal(std::string("kv = \"f1\xff\"\n"));
  FileRefusal(std::string((1 << 20) + 1, '\n'));
}

TEST_F(SettingsTest, AMissingFileIsRefused) {
  const auto resolved = Try({"run", "--config", path_});
  ASSERT_FALSE(resolved.ok());
  EXPECT_NE(Message(resolved.status()).find(path_), std::string::npos);
  EXPECT_FALSE(Try({"run", "--config", testing::TempDir()}).ok());  // a folder
}

TEST_F(SettingsTest, BadVariablesAreRefusedByTheirName) {
  const auto resolved = Try({"run"}, {{"MORTAR_N_PREDICT", "many"}});
  ASSERT_FALSE(resolved.ok());
  EXPECT_EQ(Message(resolved.status()),
            "MORTAR_N_PREDICT: \"many\" is not a whole number; give 1 to 1048576");
}

TEST_F(SettingsTest, VariablesThatAreNoFlagAreWarnedOf) {
  const auto resolved = Try({"run"}, {{"MORTAR_TEMPERATUR", "1"},
                                      {"MORTAR_TEST_MODEL", "x"},
                                      {"MORTAR_ISA", "scalar"},
                                      {"OTHER", "1"}});
  ASSERT_TRUE(resolved.ok());
  ASSERT_EQ(resolved->warnings.size(), 1u);
  EXPECT_NE(resolved->warnings[0].find("MORTAR_TEMPERATUR"), std::string::npos);
  EXPECT_EQ(resolved->settings.String("isa"), "scalar");
}

TEST_F(SettingsTest, EmptyVariablesCountAsNotSet) {
  EXPECT_EQ(Get({"run"}, {{"MORTAR_N_PREDICT", ""}}).Int("n-predict"), 128);
}

TEST_F(SettingsTest, EveryFlagHasAVariableAndAKey) {
  // A value of each type that is inside every flag's bounds.
  for (const FlagSpec& flag : Flags()) {
    if (flag.name == "config") continue;
    std::string text = flag.fallback.empty() ? "1" : std::string(flag.fallback);
    if (flag.type == FlagType::kInt) text = std::to_string(static_cast<int64_t>(flag.max));
    if (flag.type == FlagType::kChoice) text = SplitCommas(flag.choices).back();
    if (flag.type == FlagType::kBool) text = "true";
    const bool quoted = flag.type == FlagType::kString || flag.type == FlagType::kChoice ||
                        flag.type == FlagType::kStrings;
    const std::string toml = flag.type == FlagType::kInts ? "[" + text + "]"
                             : quoted                     ? "\"" + text + "\""
                                                          : text;
    for (const CommandSpec& command : Commands()) {
      if ((flag.commands & command.command) == 0) continue;
      const std::string name(command.name);
      const Settings by_environment = Get({name}, {{EnvironmentName(flag), text}});
      EXPECT_EQ(by_environment.Source(flag.name), FlagSource::kEnvironment) << flag.name;
      const Settings by_file =
          Get({name, "--config", File(std::string(flag.name) + " = " + toml + "\n")});
      EXPECT_EQ(by_file.Source(flag.name), FlagSource::kFile) << flag.name;
    }
  }
}

}  // namespace
}  // namespace mortar
