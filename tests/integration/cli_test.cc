// Goal: the program does what docs/cli.md promises: where settings come from, what stands in
// --json, and the same tokens for every cut, thread count, instruction set and chunk size.
#include <gtest/gtest.h>
#include <sched.h>

#include <cmath>
#include <sstream>

#include "tests/integration/cli_process.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

// The first CPU that this process, and so one that it starts, may run on.
std::string FirstCpu() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  EXPECT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int cpu = 0;
  while (cpu + 1 < CPU_SETSIZE && !CPU_ISSET(cpu, &allowed)) ++cpu;
  return std::to_string(cpu);
}

using nlohmann::json;

ProgramResult Greedy(std::vector<std::string> extra,
                     std::map<std::string, std::string> environment = {}) {
  // 20 tokens, long enough for chunks of 7 and for a difference to show.
  std::vector<std::string> arguments = {
      "run",
      "-m",
      TestModelPath(),
      "--raw",
      "--json",
      "-n",
      "24",
      "-c",
      "256",
      "--temp",
      "0",
      "-p",
      "Once upon a time there was a small village by the sea. Every morning the people"};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  return RunMortar(ProgramRun{.arguments = arguments, .environment = std::move(environment)});
}

json Tokens(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.Json()["tokens"];
}

class CliRunTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { expected_ = new json(Tokens(Greedy({"-t", "1"}))); }
  static void TearDownTestSuite() { delete expected_; }
  static const json& expected() { return *expected_; }

 private:
  static json* expected_;
};
json* CliRunTest::expected_ = nullptr;

TEST_F(CliRunTest, SaysWhatItIsKnownToSay) {
  const ProgramResult result = RunMortar({"run", "-m", TestModelPath(), "--raw", "-p",
                                          "The capital of France is", "-n", "24", "--temp", "0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with(" Paris.")) << result.out;
  EXPECT_TRUE(result.out.ends_with("\n"));
}

TEST_F(CliRunTest, TheSameTokensForEveryCut) {
  for (const std::vector<std::string>& cut : std::vector<std::vector<std::string>>{
           {"--workers", "1", "--front", "1", "--back", "1"},
           {"--workers", "1", "--front", "14", "--back", "5"},
           {"--workers", "2"},
           {"--workers", "2", "--layers", "3,23"},
           {"--workers", "3"},
           {"--workers", "3", "--front", "7", "--back", "1", "--layers", "1,20,1"},
           {"--front", "0", "--back", "0", "--show-tokens-to-cloud"}}) {
    EXPECT_EQ(Tokens(Greedy(cut)), expected()) << testing::PrintToString(cut);
  }
}

TEST_F(CliRunTest, TheSameTokensForEveryThreadCountAndInstructionSet) {
  EXPECT_EQ(Tokens(Greedy({"-t", "2"})), expected());
  EXPECT_EQ(Tokens(Greedy({"-t", "3", "--workers", "2"})), expected());
  EXPECT_EQ(Tokens(Greedy({"-t", "1", "-tb", "2"})), expected());
  EXPECT_EQ(Tokens(Greedy({"-t", "2", "-tb", "1", "-C", FirstCpu()})), expected());
  EXPECT_EQ(Tokens(Greedy({}, {{"MORTAR_ISA", "scalar"}})), expected());
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    EXPECT_EQ(Tokens(Greedy({}, {{"MORTAR_ISA", "avx2"}})), expected());
  }
#endif
}

TEST_F(CliRunTest, TheSameTokensForEveryChunkOfPrefill) {
  for (const char* chunk : {"1", "7", "512"}) {
    EXPECT_EQ(Tokens(Greedy({"--ubatch-size", chunk})), expected()) << chunk;
  }
}

TEST_F(CliRunTest, ASeedRepeatsASampledRun) {
  const json first = Tokens(Greedy({"--temp", "1.5", "--seed", "11"}));
  EXPECT_EQ(Tokens(Greedy({"--temp", "1.5", "--seed", "11", "--workers", "2"})), first);
  EXPECT_NE(Tokens(Greedy({"--temp", "1.5", "--seed", "12"})), first);
}

TEST_F(CliRunTest, DraftsChangeNoToken) {
  EXPECT_EQ(Tokens(Greedy({"--draft", "lookup"})), expected());
  EXPECT_EQ(Tokens(Greedy({"--draft", "lookup", "--draft-max", "1", "--workers", "2"})),
            expected());
  const std::vector<std::string> sampled = {"--temp", "1", "--seed", "5", "-n", "64"};
  std::vector<std::string> with = sampled;
  with.insert(with.end(), {"--draft", "lookup"});
  EXPECT_EQ(Tokens(Greedy(with)), Tokens(Greedy(sampled)));
}

TEST_F(CliRunTest, JsonHoldsWhatIsPromised) {
  const ProgramResult result = Greedy({"--workers", "2"});
  const json report = result.Json();
  EXPECT_EQ(report["tokens"].size(), 24u);
  EXPECT_GT(report["prompt_tokens"].size(), 10u);
  EXPECT_TRUE(report["text"].is_string());
  EXPECT_EQ(report["finish_reason"], "length");
  for (const char* key : {"load_ms", "ttft_ms", "prefill_tok_s", "decode_tok_s"}) {
    EXPECT_GT(report["timings"][key].get<double>(), 0) << key;
  }
  EXPECT_EQ(report["drafts"], json({{"proposed", 0}, {"accepted", 0}}));
  const json& route = report["route"];
  ASSERT_EQ(route.size(), 4u) << route;  // edge, worker, worker, edge
  EXPECT_EQ(route[0]["role"], "edge");
  EXPECT_EQ(route[1]["role"], "worker");
  EXPECT_EQ(route[0]["layers"], json({0, 2}));
  EXPECT_EQ(route[3]["layers"], json({28, 30}));
  EXPECT_EQ(route[1]["layers"][1], route[2]["layers"][0]);
  EXPECT_NE(route[1]["node"], route[2]["node"]);
}

TEST_F(CliRunTest, JsonEventsAreTheRouteAndEachTokenAsItComesAndThenTheReport) {
  const ProgramResult result = Greedy({"--json-events"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::vector<json> lines;
  std::istringstream text(result.out);
  for (std::string line; std::getline(text, line);) {
    lines.push_back(json::parse(line, nullptr, /*allow_exceptions=*/false));
  }
  ASSERT_EQ(lines.size(), 1u + 24u + 1u) << result.out;
  const json& report = lines.back();
  EXPECT_EQ(report["tokens"], expected());
  EXPECT_EQ(lines[0]["route"], report["route"]);
  std::string said;
  double before = 0;
  for (size_t i = 0; i < 24; ++i) {
    const json& event = lines[1 + i];
    EXPECT_EQ(event["token"], report["tokens"][i]);
    said += event["text"];
    EXPECT_GE(event["ms"].get<double>(), before);
    before = event["ms"].get<double>();
  }
  EXPECT_EQ(report["text"].get<std::string>().rfind(said, 0), 0u) << said;
  const json& pauses = report["timings"]["inter_token_ms"];
  EXPECT_GE(pauses["max"].get<double>(), pauses["p99"].get<double>());
  ExpectOneLineError(RunMortar({"run", "-p", "a", "--json-events"}), 2, "add it");
}

TEST_F(CliRunTest, BytesOnTheWireAreCountedAtTheSender) {
  const json report = Greedy({"--workers", "2"}).Json();
  const json& wire = report["wire"];
  ASSERT_EQ(wire["hops"].size(), 3u) << wire;
  const uint64_t positions =
      report["prompt_tokens"].size() + report["tokens"].size() - 1;  // the last is not run
  uint64_t messages = 0;
  for (const json& hop : wire["hops"]) {
    // docs/architecture.md: n_embd x 4 bytes a position, and at most 200 a message.
    const auto hop_bytes = hop["bytes"].get<uint64_t>();
    const auto hop_messages = hop["messages"].get<uint64_t>();
    messages += hop_messages;
    EXPECT_GE(hop_bytes, positions * 576 * 4) << hop;
    EXPECT_LE(hop_bytes, positions * 576 * 4 + hop_messages * 200) << hop;
  }
  EXPECT_EQ(wire["messages"].get<uint64_t>(), messages);
  EXPECT_EQ(wire["bytes_up"], wire["hops"][0]["bytes"]);
  EXPECT_EQ(wire["bytes_down"], wire["hops"][2]["bytes"]);
}

TEST_F(CliRunTest, WhatEachNodeComputesAddsUpToNoMoreThanTheAnswerTook) {
  const json report = Greedy({"--workers", "2", "--ubatch-size", "3"}).Json();
  double computed_ms = 0;
  for (const json& hop : report["wire"]["hops"]) {
    EXPECT_GT(hop["compute_ms"].get<double>(), 0) << hop;
    computed_ms += hop["compute_ms"].get<double>();
  }
  const json& timings = report["timings"];
  const auto n_decode = static_cast<double>(report["tokens"].size() - 1);
  EXPECT_LT(computed_ms, timings["ttft_ms"].get<double>() +
                             n_decode / timings["decode_tok_s"].get<double>() * 1e3);
}

TEST_F(CliRunTest, PeopleSeeTheRouteAndOneLineOfFigures) {
  const ProgramResult result = RunMortar(
      {"run", "-m", TestModelPath(), "-p", "Say hello.", "-n", "8", "--temp", "0", "-c", "256"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"edge", "worker", "[0, 2)", "[2, 28)", "tokens/s", "first token"}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << " in\n" << result.err;
  }
  EXPECT_EQ(result.err.find('\x1b'), std::string::npos) << "colour off a terminal";
}

TEST_F(CliRunTest, AStopTextEndsTheAnswerBeforeIt) {
  const std::string whole = Greedy({}).Json()["text"];
  const std::string stop = whole.substr(whole.size() / 2, 5);
  const json report = Greedy({"--stop", stop}).Json();
  EXPECT_EQ(report["finish_reason"], "stop");
  EXPECT_EQ(report["text"], whole.substr(0, whole.find(stop)));
}

TEST_F(CliRunTest, AnEdgeThatKeepsAllLayersNeedsNobody) {
  const ProgramResult result = Greedy({"--front", "20", "--back", "10"});
  EXPECT_EQ(Tokens(result), expected());
  EXPECT_EQ(result.Json()["route"].size(), 2u);
  EXPECT_EQ(result.Json()["wire"]["messages"], 0);
}

TEST_F(CliRunTest, AnInterruptEndsItCleanly) {
  const ProgramResult result =
      RunMortar(ProgramRun{.arguments = {"run", "-m", TestModelPath(), "--raw", "-p",
                                         "Once upon a time", "-n", "2000", "--temp", "0"},
                           .interrupt_after_bytes = 10});
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(result.err.find("terminate"), std::string::npos) << result.err;
}

TEST_F(CliRunTest, TheStrongerSourceOfASettingWins) {
  const TestFolder folder;
  const std::string config = folder.Write("c.toml", "n-predict = 3\n");
  const auto count = [&](std::vector<std::string> extra,
                         std::map<std::string, std::string> environment = {}) {
    std::vector<std::string> arguments = {"run", "-m", TestModelPath(),    "--raw",  "--json", "-c",
                                          "64",  "-p", "Once upon a time", "--temp", "0"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return Tokens(RunMortar(ProgramRun{.arguments = arguments, .environment = environment})).size();
  };
  EXPECT_EQ(count({"--config", config}), 3u);
  EXPECT_EQ(count({"--config", config}, {{"MORTAR_N_PREDICT", "4"}}), 4u);
  EXPECT_EQ(count({"--config", config, "-n", "5"}, {{"MORTAR_N_PREDICT", "4"}}), 5u);
  EXPECT_EQ(count({}, {{"MORTAR_CONFIG", config}}), 3u);
}

TEST(Cli, PromptsComeFromFilesAndStandardInputToo) {
  const TestFolder folder;
  const std::string model = TestModelPath();
  const json direct = RunMortar({"tokenize", "-m", model, "-p", "Hi 42", "--json"}).Json();
  const std::string file = folder.Write("prompt", "Hi 42");
  EXPECT_EQ(RunMortar({"tokenize", "-m", model, "-f", file, "--json"}).Json(), direct);
  for (const std::vector<std::string>& how :
       std::vector<std::vector<std::string>>{{}, {"-p", "-"}, {"-f", "-"}}) {
    ProgramRun run{.arguments = {"tokenize", "-m", model, "--json"}, .input = "Hi 42"};
    run.arguments.insert(run.arguments.end(), how.begin(), how.end());
    EXPECT_EQ(RunMortar(run).Json(), direct);
  }
  EXPECT_EQ(direct["tokens"].size(), direct["pieces"].size());
}

TEST(Cli, SpecialTokensInATextAreTokensOnlyOnRequest) {
  const std::string model = TestModelPath();
  const auto ids = [&](const char* flag) {
    return RunMortar({"tokenize", "-m", model, "-p", "<|im_end|>", "--json", flag})
        .Json()["tokens"];
  };
  EXPECT_EQ(ids("--special"), json({2}));
  EXPECT_GT(ids("--no-special").size(), 1u);
}

TEST(Cli, InspectListsTheBricks) {
  const json report = RunMortar({"inspect", TestModelPath(), "--json"}).Json();
  ASSERT_EQ(report["bricks"].size(), 32u);  // embedding, 30 layers, head
  EXPECT_EQ(report["architecture"], "llama");
  EXPECT_EQ(report["bricks"][0]["kind"], "embedding");
  EXPECT_EQ(report["bricks"][31]["kind"], "head");
  for (const json& brick : report["bricks"]) {
    EXPECT_EQ(brick["sha256"].get<std::string>().size(), 64u) << brick["name"];
    EXPECT_EQ(brick["sensitivity"], "public");
    uint64_t bytes = 0;
    for (const json& tensor : brick["tensors"]) bytes += tensor["bytes"].get<uint64_t>();
    EXPECT_EQ(brick["bytes"].get<uint64_t>(), bytes);
  }
}

TEST(Cli, BenchNamesItsTestsAsLlamaBenchDoes) {
  const ProgramResult result = RunMortar({"bench", "-m", TestModelPath(), "-p", "32", "-n", "8",
                                          "-r", "2", "--batch", "1,4", "-d", "0,40", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const json tests = result.Json();
  const char* const names[] = {"pp32", "tg8", "tg8@4", "pp32@d40", "tg8@d40", "tg8@4@d40"};
  ASSERT_EQ(tests.size(), std::size(names));
  for (size_t i = 0; i < std::size(names); ++i) EXPECT_EQ(tests[i]["test"], names[i]);
  for (const json& test : tests) {
    for (const char* key : {"tok_s", "gb_s", "bandwidth_fraction"}) {
      EXPECT_GT(test[key].get<double>(), 0) << test;
    }
    EXPECT_GE(test["stddev"].get<double>(), 0);
  }
}

TEST(Cli, BenchMeasuresWhatTheRolesCost) {
  const json tests = RunMortar({"bench", "-m", TestModelPath(), "-p", "0", "-n", "8", "-r", "1",
                                "--roles", "--workers", "2", "--json"})
                         .Json();
  ASSERT_EQ(tests.size(), 2u);
  EXPECT_EQ(tests[1]["test"], "tg8@roles");
  EXPECT_GT(tests[1]["bare_tok_s"].get<double>(), 0);
  EXPECT_TRUE(tests[1]["added_us_per_token"].is_number());  // of either sign, by chance
}

// A text of several hundred tokens.
std::string Sentences() {
  std::string text;
  for (int i = 1; i < 120; ++i) text += "Sentence " + std::to_string(i) + " follows. ";
  return text;
}

TEST(Cli, PerplexityScoresSecondHalves) {
  const TestFolder folder;
  const std::string file = folder.Write("text", Sentences());
  const json report = RunMortar({"perplexity", "-m", TestModelPath(), "-f", file, "-c", "64",
                                 "--chunks", "3", "--json"})
                          .Json();
  EXPECT_EQ(report["tokens"], 3 * 31);
  EXPECT_GT(report["ppl"].get<double>(), 1);
  EXPECT_LT(report["ppl"].get<double>(), 100);
  EXPECT_GT(report["ppl_error"].get<double>(), 0);
}

TEST(Cli, CompareScoresWhatPerplexityScores) {
  const TestFolder folder;
  const std::string file = folder.Write("text", Sentences());
  const std::vector<std::string> common = {"-m", TestModelPath(), "-f", file,    "-c",
                                           "64", "--chunks",      "2",  "--json"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), common.begin(), common.end());
    return RunMortar(arguments).Json();
  };
  const json of_f32 = with({"perplexity", "--kv", "f32"});
  const json of_f16 = with({"perplexity", "--kv", "f16"});
  const json both = with({"compare", "--kv", "f32", "--against-kv", "f16"});
  EXPECT_EQ(both["positions"], of_f32["tokens"]);
  EXPECT_EQ(both["ppl"], of_f32["ppl"]);
  EXPECT_EQ(both["against_ppl"], of_f16["ppl"]);
  const double ratio = both["against_ppl"].get<double>() / both["ppl"].get<double>();
  EXPECT_NEAR(both["nll_difference"].get<double>(), std::log(ratio), 1e-12);
  // Paired, so far below the error of either.
  EXPECT_GT(both["nll_difference_error"].get<double>(), 0);
  EXPECT_LT(both["nll_difference_error"].get<double>(), of_f32["ppl_error"].get<double>() / 10);
}

TEST(Cli, CompareFindsInstructionSetsEqualAndKvTypesNot) {
  const TestFolder folder;
  const std::string file = folder.Write("text", Sentences());
  const std::vector<std::string> common = {"compare", "-m", TestModelPath(), "-f", file,
                                           "-c",      "64", "--chunks",      "1",  "--json"};
  const auto with = [&](std::vector<std::string> extra) {
    std::vector<std::string> arguments = common;
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return RunMortar(arguments);
  };
  const json isa = with({"--isa", "scalar", "--against-isa", "auto"}).Json();
  EXPECT_EQ(isa["logit_difference_max"], 0.0);
  EXPECT_EQ(isa["top1_agreement"], 1.0);
  const json kv = with({"--kv", "f32", "--against-kv", "f16"}).Json();
  EXPECT_GT(kv["logit_difference_max"].get<double>(), 0);
  EXPECT_LT(kv["kl_mean"].get<double>(), 0.01);
  const json q8_0 = with({"--kv", "f32", "--against-kv", "q8_0"}).Json();
  EXPECT_GT(q8_0["logit_difference_max"].get<double>(), 0);
  EXPECT_LT(q8_0["kl_mean"].get<double>(), 0.01);
  ExpectOneLineError(with({}), 2, "both sides");
}

TEST(Cli, HelpAndVersionGoToStandardOutput) {
  for (const char* command : {"run", "bench", "perplexity", "compare", "tokenize", "inspect",
                              "plan", "completion", "version"}) {
    const ProgramResult result = RunMortar({command, "--help"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_NE(result.out.find("Usage: mortar " + std::string(command)), std::string::npos);
    EXPECT_EQ(result.err, "");
  }
  EXPECT_EQ(RunMortar({"version", "--json"}).Json()["contract"], "N1");
}

}  // namespace
}  // namespace mortar
