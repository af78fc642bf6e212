// Goal: arguments are split as people expect, and every mistake is found and named.
#include "cli/command_line.h"

#include <gtest/gtest.h>

namespace mortar {
namespace {

using Texts = std::vector<std::string>;

CommandLine Parse(const Texts& arguments) {
  const auto line = ParseCommandLine(arguments);
  EXPECT_TRUE(line.ok()) << Message(line.status());
  return line.ok() ? *line : CommandLine{};
}

std::string Refusal(const Texts& arguments) {
  const auto line = ParseCommandLine(arguments);
  EXPECT_FALSE(line.ok());
  const std::string message = Message(line.status());
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

TEST(CommandLine, ShortAndLongNamesMeanTheSame) {
  EXPECT_EQ(Parse({"run", "-n", "24"}).given.at("n-predict"), Texts{"24"});
  EXPECT_EQ(Parse({"run", "--n-predict", "24"}).given.at("n-predict"), Texts{"24"});
  EXPECT_EQ(Parse({"run", "--predict=24"}).given.at("n-predict"), Texts{"24"});
  EXPECT_EQ(Parse({"run", "-ub", "7"}).given.at("ubatch-size"), Texts{"7"});
  EXPECT_EQ(Parse({"run", "-b", "7"}).given.at("ubatch-size"), Texts{"7"});
  EXPECT_EQ(Parse({"bench", "-p", "512"}).given.at("n-prompt"), Texts{"512"});
}

TEST(CommandLine, ValuesMayLookLikeFlags) {
  EXPECT_EQ(Parse({"run", "-n", "-1"}).given.at("n-predict"), Texts{"-1"});
  EXPECT_EQ(Parse({"run", "-p", "--raw"}).given.at("prompt"), Texts{"--raw"});
  EXPECT_EQ(Parse({"run", "-p", "-ub", "--raw"}).given.at("prompt"), Texts{"-ub"});
  EXPECT_EQ(Parse({"run", "--prompt", "-ub"}).given.at("prompt"), Texts{"-ub"});
  EXPECT_EQ(Parse({"run", "--raw", "-ub", "7"}).given.at("ubatch-size"), Texts{"7"});
  EXPECT_EQ(Parse({"run", "-n5", "-ub", "7"}).given.at("ubatch-size"), Texts{"7"});
  EXPECT_EQ(Parse({"run", "-v", "-ub", "7"}).given.at("ubatch-size"), Texts{"7"});
  EXPECT_EQ(Parse({"run", "-p", "-"}).given.at("prompt"), Texts{"-"});
  EXPECT_EQ(Parse({"run", "-p", ""}).given.at("prompt"), Texts{""});
  EXPECT_EQ(Parse({"run", "-p", "two words, = and \"quotes\""}).given.at("prompt"),
            Texts{"two words, = and \"quotes\""});
}

TEST(CommandLine, AFlagThatTookAnotherForItsValueIsNamed) {
  EXPECT_EQ(Refusal({"edge", "--name", "--keys", "file"}),
            "--name needs a value, and took the flag before file for one; see mortar edge --help");
  EXPECT_EQ(Refusal({"run", "-p", "--temp", "0.5"}).substr(0, 16), "-p needs a value");
  // Nobody took it.
  EXPECT_EQ(Refusal({"run", "-p", "text", "more"}).substr(0, 19), "stray argument more");
  EXPECT_EQ(Refusal({"run", "-p", "--unknown", "more"}).substr(0, 19), "stray argument more");
  EXPECT_EQ(Refusal({"run", "--raw", "more"}).substr(0, 19), "stray argument more");
}

TEST(CommandLine, TruthValuesHaveANegative) {
  EXPECT_EQ(Parse({"run", "--raw"}).given.at("raw"), Texts{"true"});
  EXPECT_EQ(Parse({"run", "--no-stream"}).given.at("stream"), Texts{"false"});
  EXPECT_FALSE(Parse({"run"}).given.contains("stream"));
}

TEST(CommandLine, RepeatedFlagsKeepTheirOrder) {
  EXPECT_EQ(Parse({"run", "--stop", "a", "--stop", "b"}).given.at("stop"), (Texts{"a", "b"}));
  EXPECT_EQ(Parse({"run", "-n", "1", "-n", "2"}).given.at("n-predict"), (Texts{"1", "2"}));
}

TEST(CommandLine, InspectTakesItsModelByPlace) {
  EXPECT_EQ(Parse({"inspect", "a.gguf", "--json"}).given.at("model"), Texts{"a.gguf"});
  EXPECT_EQ(Parse({"inspect", "-m", "a.gguf"}).given.at("model"), Texts{"a.gguf"});
}

TEST(CommandLine, MistakesAreNamed) {
  EXPECT_NE(Refusal({}).find("no command"), std::string::npos);
  EXPECT_NE(Refusal({"walk"}).find("unknown command walk"), std::string::npos);
  EXPECT_NE(Refusal({"run", "--nope"}).find("unknown flag --nope"), std::string::npos);
  EXPECT_NE(Refusal({"run", "-x"}).find("unknown flag -x"), std::string::npos);
  EXPECT_NE(Refusal({"run", "--lora", "a"}).find("unknown flag --lora"), std::string::npos);
  EXPECT_NE(Refusal({"run", "stray"}).find("stray argument stray"), std::string::npos);
  EXPECT_NE(Refusal({"run", "-n"}).find("--n-predict"), std::string::npos);
  EXPECT_NE(Refusal({"tokenize", "--temp", "1"}).find("unknown flag --temp"), std::string::npos);
}

TEST(CommandLine, ACloseMissIsSuggested) {
  EXPECT_NE(Refusal({"run", "--ctx", "5"}).find("did you mean --ctx-size?"), std::string::npos);
}

TEST(CommandLine, HelpWinsOverMistakes) {
  EXPECT_TRUE(Parse({"run", "--help"}).help);
  EXPECT_TRUE(Parse({"run", "-h", "--nope"}).help);
}

}  // namespace
}  // namespace mortar
