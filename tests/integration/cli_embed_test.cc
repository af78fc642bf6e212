// Goal: `mortar embed` gives one row for a text, the same however the text comes and whatever
// computes it; what cannot be embedded, and commands that an encoder cannot serve, are refused
// with what to do.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "tests/integration/cli_process.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using nlohmann::json;

class CliEmbedTest : public testing::Test {
 protected:
  CliEmbedTest() {
    for (const NamedTinyModel& model : TinyEncoders()) {
      WriteTinyModel(model.options, folder_.Path(model.name));
    }
    WriteTinyModel({}, folder_.Path("llama"));
  }

  ProgramResult Embed(const std::string& model, std::vector<std::string> extra) const {
    std::vector<std::string> arguments = {"embed", "-m", folder_.Path(model)};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return RunMortar(arguments);
  }

  // What it prints when it ends well: else two failures would be equal, and one unlike any row.
  std::string Row(const std::string& model, std::vector<std::string> extra) const {
    const ProgramResult result = Embed(model, std::move(extra));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }

  // The same with --json.
  json Report(const std::string& model, std::vector<std::string> extra) const {
    extra.push_back("--json");
    const ProgramResult result = Embed(model, std::move(extra));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.Json();
  }

  const TestFolder folder_;
};

double LengthOf(const json& row) {
  double squares = 0;
  for (const json& value : row) squares += value.get<double>() * value.get<double>();
  return std::sqrt(squares);
}

TEST_F(CliEmbedTest, JsonHoldsWhatIsPromised) {
  for (const auto& [model, pooling] :
       std::map<std::string, std::string>{{"bert", "cls"}, {"nomic-bert", "mean"}}) {
    json report = Report(model, {"-p", "Hello, you"});
    EXPECT_EQ(report["model"], "Tiny random " + model);
    EXPECT_EQ(report["dimensions"], 64);
    EXPECT_EQ(report["tokens"], 8);  // a byte each, but "ll" and "ou"
    EXPECT_EQ(report["pooling"], pooling);
    EXPECT_EQ(report["normalized"], true);
    ASSERT_EQ(report["embedding"].size(), 64u);
    EXPECT_NEAR(LengthOf(report["embedding"]), 1, 1e-6);  // 64 roundings of 2^-24
    json plain = Report(model, {"-p", "Hello, you", "--no-normalize"});
    EXPECT_GT(LengthOf(plain["embedding"]), 2);
  }
}

TEST_F(CliEmbedTest, PeopleSeeTheSameNumbersInOneLine) {
  const json want = Report("bert", {"-p", "Hello"})["embedding"];
  ASSERT_EQ(want.size(), 64u);
  std::istringstream line(Row("bert", {"-p", "Hello"}));
  for (const json& value : want) {
    std::string number;
    line >> number;
    EXPECT_EQ(std::stof(number), value.get<float>());
  }
  EXPECT_EQ(line.get(), '\n');
}

TEST_F(CliEmbedTest, TheSameRowHoweverTheTextComesAndWhateverComputesIt) {
  const std::string text = "A line.\nAnother one.";
  for (const std::string model : {"bert", "nomic-bert"}) {
    const std::string want = Row(model, {"-p", text});
    EXPECT_EQ(Row(model, {"-f", folder_.Write("text", text)}), want);
    const ProgramResult piped =
        RunMortar(ProgramRun{.arguments = {"embed", "-m", folder_.Path(model)}, .input = text});
    EXPECT_EQ(piped.exit_code, 0) << piped.err;
    EXPECT_EQ(piped.out, want);
    EXPECT_EQ(Row(model, {"-p", text, "--isa", "scalar", "-t", "2"}), want);
    EXPECT_EQ(Row(model, {"-p", text, "-t", "3"}), want);
    EXPECT_NE(Row(model, {"-p", text, "--kv", "f16"}), want);
  }
}

TEST_F(CliEmbedTest, ADecoderIsEmbeddedWhereItIsSaidHow) {
  json mean = Report("llama", {"-p", "Hello", "--pooling", "mean"});
  EXPECT_EQ(mean["pooling"], "mean");
  EXPECT_NEAR(LengthOf(mean["embedding"]), 1, 1e-6);
  json last = Report("llama", {"-p", "Hello", "--pooling", "last"});
  EXPECT_NE(last["embedding"], mean["embedding"]);
  ExpectOneLineError(Embed("llama", {"-p", "Hello"}), 1, "says no pooling, llama.pooling_type");
  ExpectOneLineError(Embed("llama", {"-p", "Hello", "--pooling", "cls"}), 1,
                     "give --pooling mean or last");
  ExpectOneLineError(Embed("llama", {"-p", "Hello", "--pooling", "rank"}), 2, "--pooling");
}

TEST_F(CliEmbedTest, AnEncoderThatSaysNoPoolingIsAskedForIt) {
  TinyModelOptions silent = TinyEncoders()[0].options;
  for (const int pooling : {-1, 0}) {
    silent.pooling = pooling;
    WriteTinyModel(silent, folder_.Path("silent"));
    ExpectOneLineError(Embed("silent", {"-p", "Hello"}), 1, "says no pooling, bert.pooling_type");
    EXPECT_EQ(Row("silent", {"-p", "Hello", "--pooling", "cls"}), Row("bert", {"-p", "Hello"}));
  }
}

TEST_F(CliEmbedTest, ATextLongerThanTheModelIsRefused) {
  EXPECT_EQ(Embed("bert", {"-p", std::string(64, '.')}).exit_code, 0);
  ExpectOneLineError(Embed("bert", {"-p", std::string(65, '.')}), 1,
                     "prompt: 65 tokens are more than the 64 that this model embeds at once");
}

TEST_F(CliEmbedTest, WhatContinuesTextsRefusesAnEncoderByName) {
  const std::string model = folder_.Path("bert");
  const std::string text = folder_.Write("text", std::string(600, '.'));
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"run", "-p", "Hello"},
                                             {"edge", "-p", "Hello"},
                                             {"worker"},
                                             {"bench"},
                                             {"plan"},
                                             {"perplexity", "-f", text},
                                             {"compare", "-f", text, "--against-kv", "f32"}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"-m", model});
    ExpectOneLineError(RunMortar(arguments), 1,
                       "a bert model is an encoder and continues no text; use mortar embed");
  }
  EXPECT_EQ(RunMortar({"inspect", model, "--json"}).Json()["bricks"].size(), 4u);
}

}  // namespace
}  // namespace mortar
