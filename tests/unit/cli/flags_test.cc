// Goal: the flag table is sound, and a text means one value or one clear refusal.
#include "cli/flags.h"

#include <gtest/gtest.h>

#include <set>

namespace mortar {
namespace {

const FlagSpec& Flag(std::string_view name, Command command) {
  const FlagSpec* flag = FindFlag(name, command);
  EXPECT_NE(flag, nullptr) << name;
  return *flag;
}

std::string Refusal(std::string_view name, Command command, const std::string& text) {
  const auto value = ParseFlag(Flag(name, command), {text}, "--" + std::string(name));
  EXPECT_FALSE(value.ok()) << name << " took " << text;
  return Message(value.status());
}

TEST(FlagTable, NoTwoRowsOfACommandShareAName) {
  for (const CommandSpec& command : Commands()) {
    std::set<std::string> names;
    for (const FlagSpec& flag : Flags()) {
      if ((flag.commands & command.command) == 0) continue;
      EXPECT_TRUE(names.insert("--" + std::string(flag.name)).second) << flag.name;
      for (const auto& alias : SplitCommas(flag.aliases)) {
        EXPECT_TRUE(names.insert("--" + alias).second) << alias;
      }
      for (const auto& letter : SplitCommas(flag.shorts)) {
        EXPECT_TRUE(names.insert("-" + letter).second) << command.name << " -" << letter;
      }
    }
  }
}

TEST(FlagTable, EveryDefaultPassesItsOwnBounds) {
  for (const FlagSpec& flag : Flags()) {
    if (flag.fallback.empty()) continue;
    EXPECT_TRUE(ParseFlag(flag, {std::string(flag.fallback)}, "default").ok()) << flag.name;
  }
}

TEST(FlagTable, EveryFlagBelongsToACommandAndIsExplained) {
  for (const FlagSpec& flag : Flags()) {
    EXPECT_NE(flag.commands, 0u) << flag.name;
    EXPECT_FALSE(flag.help.empty()) << flag.name;
    EXPECT_EQ(flag.type == FlagType::kBool, flag.value_name.empty()) << flag.name;
    if (flag.type == FlagType::kInt || flag.type == FlagType::kFloat) {
      EXPECT_LT(flag.min, flag.max) << flag.name;
    }
  }
}

TEST(Flags, EnvironmentNamesAreUpperCase) {
  EXPECT_EQ(EnvironmentName(Flag("ctx-size", kRun)), "MORTAR_CTX_SIZE");
  EXPECT_EQ(EnvironmentName(Flag("isa", kRun)), "MORTAR_ISA");
}

TEST(Flags, AFlagMayHaveAnotherDefaultInAnotherCommand) {
  EXPECT_EQ(Flag("ctx-size", kPerplexity).fallback, "512");
  EXPECT_EQ(Flag("ctx-size", kRun).fallback, "");
  EXPECT_EQ(FindFlag("chunks", kRun), nullptr);
}

TEST(Flags, GoodTextsBecomeValues) {
  EXPECT_EQ(std::get<int64_t>(*ParseFlag(Flag("n-predict", kRun), {"24"}, "-n")), 24);
  EXPECT_EQ(std::get<double>(*ParseFlag(Flag("temp", kRun), {"0"}, "--temp")), 0.0);
  EXPECT_EQ(std::get<double>(*ParseFlag(Flag("top-p", kRun), {"0.95"}, "--top-p")), 0.95);
  EXPECT_EQ(std::get<bool>(*ParseFlag(Flag("raw", kRun), {"true"}, "--raw")), true);
  EXPECT_EQ(std::get<std::string>(*ParseFlag(Flag("kv", kRun), {"f32"}, "--kv")), "f32");
  EXPECT_EQ(std::get<std::vector<int64_t>>(*ParseFlag(Flag("batch", kBench), {"1,8,16"}, "x")),
            (std::vector<int64_t>{1, 8, 16}));
  EXPECT_EQ(std::get<std::vector<std::string>>(*ParseFlag(Flag("stop", kRun), {"a,b", "c"}, "x")),
            (std::vector<std::string>{"a,b", "c"}));
}

TEST(Flags, NumbersEndWhereTheirTextEnds) {
  for (const char* text : {"", "4x", " 4", "4 ", "0x10", "4.5", "1e3", "99999999999999999999"}) {
    Refusal("n-predict", kRun, text);
  }
  for (const char* text : {"", "nan", "inf", "-inf", "0,8", "1e999", "--1"}) {
    Refusal("temp", kRun, text);
  }
}

TEST(Flags, BoundsAreKeptAtBothEnds) {
  const FlagSpec& chunk = Flag("ubatch-size", kRun);
  EXPECT_TRUE(ParseFlag(chunk, {"1"}, "-b").ok());
  EXPECT_TRUE(ParseFlag(chunk, {"512"}, "-b").ok());
  EXPECT_EQ(Refusal("n-predict", kRun, "99999999999999999999"),
            "--n-predict: 99999999999999999999 is out of bounds; give 1 to 1048576");
  EXPECT_EQ(Refusal("temp", kRun, "1e999"), "--temp: 1e999 is out of bounds; give 0 to 100");
  EXPECT_EQ(Refusal("ubatch-size", kRun, "0"), "--ubatch-size: 0 is out of bounds; give 1 to 512");
  Refusal("ubatch-size", kRun, "513");
  Refusal("top-p", kRun, "1.01");
  Refusal("seed", kRun, "-1");
}

TEST(Flags, EndlessGenerationIsRefusedWithItsReason) {
  const std::string message = Refusal("n-predict", kRun, "-1");
  EXPECT_NE(message.find("refused on purpose"), std::string::npos) << message;
  EXPECT_NE(message.find("-n 256"), std::string::npos) << message;
  Refusal("n-gen", kBench, "-1");
}

TEST(Flags, ATypeOfKvThatIsNotThereIsRefused) {
  EXPECT_EQ(Refusal("kv", kRun, "f64"), "--kv: \"f64\" is not one of f16,f32,q8_0");
}

TEST(Flags, ListsHaveNoEmptyEntriesAndAnEnd) {
  for (const char* text : {"", ",", "1,", ",1", "1,,2", "1,x"}) Refusal("batch", kBench, text);
  std::string many = "1";
  for (int i = 0; i < 64; ++i) many += ",1";
  Refusal("batch", kBench, many);
}

TEST(Flags, ValuesFromAFileKeepTheirType) {
  EXPECT_TRUE(CheckFlag(Flag("n-predict", kRun), int64_t{5}, "f:1").ok());
  EXPECT_FALSE(CheckFlag(Flag("n-predict", kRun), std::string("5"), "f:1").ok());
  EXPECT_FALSE(CheckFlag(Flag("n-predict", kRun), 5.0, "f:1").ok());
  EXPECT_FALSE(CheckFlag(Flag("n-predict", kRun), int64_t{0}, "f:1").ok());
  EXPECT_TRUE(CheckFlag(Flag("temp", kRun), int64_t{1}, "f:1").ok());
  EXPECT_FALSE(CheckFlag(Flag("temp", kRun), -0.5, "f:1").ok());
  EXPECT_FALSE(CheckFlag(Flag("raw", kRun), int64_t{1}, "f:1").ok());
  EXPECT_FALSE(CheckFlag(Flag("kv", kRun), std::string("q4_0"), "f:1").ok());
  EXPECT_TRUE(CheckFlag(Flag("batch", kBench), std::vector<int64_t>{1, 8}, "f:1").ok());
  EXPECT_FALSE(CheckFlag(Flag("batch", kBench), std::vector<int64_t>{0}, "f:1").ok());
  const auto stop = CheckFlag(Flag("stop", kRun), std::string("end"), "f:1");
  EXPECT_EQ(std::get<std::vector<std::string>>(*stop), std::vector<std::string>{"end"});
}

}  // namespace
}  // namespace mortar
