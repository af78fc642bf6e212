// Goal: splitting over loopback costs a token at most 1.3 times the bare ZeroMQ round trip of its
// frames, with the same threads in each process. All in one run, in alternation, as medians:
// machines differ and are noisy.
//
// What splitting costs is what a token takes outside of its layers, in three processes and in one:
// what the layers compute differs from run to run by more than the wire takes. The bare round trip
// is measured at the token's beat, by a program that is nothing but ZeroMQ and is busy for half a
// token at each end: a frame of one token never comes without a pause, and the pause decides what
// waking costs. The round trip without pauses is printed beside it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "protocol/envelope.h"
#include "protocol/zmq_socket.h"
#include "tests/integration/cli_process.h"
#include "tests/integration/cluster_programs.h"
#include "tests/integration/node_program.h"
#include "tests/support/test_model.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

// Runs whose medians are compared; three times as many, and then for good, where the machine's
// noise may have been too much for these.
constexpr int kRuns = 5;
constexpr int kRunsMax = 15;
constexpr int kTokens = 100;
constexpr int kRoundTrips = 100;
constexpr double kLimit = 1.3;  // times the bare round trip
constexpr const char* kStory = "Once upon a time there was a small village by the sea.";

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

double Least(const std::vector<double>& values) { return *std::ranges::min_element(values); }

// Stands for a part of a token: the core is busy for so long.
void Compute(std::chrono::nanoseconds time) {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < time) {
  }
}

// A process that sends every message back, after it was busy for as many nanoseconds as its first
// word says: what a worker would be without a model.
class Echo {
 public:
  Echo() {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    child_ = fork();
    if (child_ == 0) Run(ends[1]);
    close(ends[1]);
    char text[64] = {};
    EXPECT_GT(read(ends[0], text, sizeof text - 1), 0);
    close(ends[0]);
    endpoint_ = text;
  }
  ~Echo() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  const std::string& endpoint() const { return endpoint_; }

 private:
  [[noreturn]] static void Run(int out) {
    ZmqContext context;
    auto socket = *ZmqSocket::Listen(context, "tcp://127.0.0.1:0");
    const std::string& endpoint = socket->endpoint();
    if (write(out, endpoint.data(), endpoint.size()) < 0) _exit(1);
    ZmqSocket* const sockets[] = {socket.get()};
    for (;;) {
      while (const auto head = socket->ReceiveHead()) {
        const std::vector<uint64_t> words(head->words.begin(), head->words.end());
        const std::vector<std::byte> body = socket->ReceiveBody();
        Compute(std::chrono::nanoseconds(words[0]));
        while (socket->Send(head->connection, words, body) != SendOutcome::kSent) {
        }
      }
      WaitForMessages(sockets, {}, nullptr, -1, std::chrono::seconds(1));
    }
  }

  pid_t child_ = -1;
  std::string endpoint_;
};

// Seconds that `Work` takes, the median of many.
template <typename Work>
double SecondsOf(Work work) {
  std::vector<double> seconds;
  for (int i = 0; i < kRoundTrips; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(Seconds(std::chrono::steady_clock::now() - start));
  }
  return Median(seconds);
}

// Seconds that a round trip of one token's frame takes, when each end computes for `pause` before
// it sends, beyond that computing.
double BareRoundTrip(const Echo& echo, size_t row_bytes, std::chrono::nanoseconds pause) {
  ZmqContext context;
  auto socket = *ZmqSocket::Dial(context, echo.endpoint());
  ZmqSocket* const sockets[] = {socket.get()};
  std::vector<uint64_t> head(EncodedBytes(Envelope{}) / sizeof(uint64_t));
  head[0] = static_cast<uint64_t>(pause.count());
  const std::vector<std::byte> rows(row_bytes);
  const double together = SecondsOf([&] {
    Compute(pause);
    while (socket->Send(0, head, rows) != SendOutcome::kSent) {
    }
    while (!socket->ReceiveHead()) {
      WaitForMessages(sockets, {}, nullptr, -1, std::chrono::seconds(1));
    }
    (void)socket->ReceiveBody();
  });
  return together - 2 * Seconds(pause);
}

struct Setting {
  std::string name;
  std::string model;
  std::string threads;
};

// What a token takes, in seconds.
struct TokenTime {
  double whole = 0;           // from one to the next, the median
  double outside_layers = 0;  // beside what its layers compute, wherever they are; the mean
};

TokenTime TimeOfToken(std::vector<std::string> arguments, const Setting& setting) {
  const std::string tokens = std::to_string(kTokens);
  for (const std::string& word :
       {std::string("-m"), setting.model, std::string("-t"), setting.threads, std::string("--raw"),
        std::string("--json"), std::string("-n"), tokens, std::string("--temp"), std::string("0"),
        std::string("-p"), std::string(kStory)}) {
    arguments.push_back(word);
  }
  const ProgramResult result = RunMortar(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  if (result.exit_code != 0) return {};
  const nlohmann::json json = result.Json();
  const nlohmann::json& timings = json["timings"];
  const double n_tokens = static_cast<double>(json["tokens"].size());
  const double n_prompt = static_cast<double>(json["prompt_tokens"].size());
  double outside = n_prompt / timings["prefill_tok_s"].get<double>() +
                   (n_tokens - 1) / timings["decode_tok_s"].get<double>();
  for (const auto& hop : json["wire"]["hops"]) outside -= hop["compute_ms"].get<double>() / 1e3;
  return {timings["inter_token_ms"]["p50"].get<double>() / 1e3, outside / n_tokens};
}

// The ratio of what a token costs more in three processes to the bare round trip.
double CostOfSplitting(const Setting& setting) {
  constexpr size_t kRowBytes = 576 * sizeof(float);
  NodeProgram coordinator({"coordinator", "--listen", "tcp://127.0.0.1:0", "--log-level", "info"});
  const std::string line = coordinator.Line("coordinator at ");
  const size_t at = line.find("tcp://");
  const std::string endpoint = line.substr(at, line.find(',', at) - at);
  NodeProgram worker(
      {"worker", "--coordinator", endpoint, "-m", setting.model, "-t", setting.threads});
  worker.Line("joined");
  const Echo echo;

  std::vector<double> alone, split, outside_alone, outside_split, bare, at_once;
  double ratio = 0;
  bool enough = false;
  for (int i = 0; i < kRuns || (i < kRunsMax && !enough); ++i) {
    const TokenTime one = TimeOfToken({"run"}, setting);
    const TokenTime three = TimeOfToken({"edge", "--coordinator", endpoint}, setting);
    const auto half = std::chrono::nanoseconds(std::llround(one.whole * 1e9 / 2));
    alone.push_back(one.whole);
    split.push_back(three.whole);
    outside_alone.push_back(one.outside_layers);
    outside_split.push_back(three.outside_layers);
    bare.push_back(BareRoundTrip(echo, kRowBytes, half));
    at_once.push_back(BareRoundTrip(echo, kRowBytes, {}));
    ratio = (Median(outside_split) - Median(outside_alone)) / Median(bare);
    if (i + 1 == kRuns) enough = ratio <= kLimit;
  }
  std::printf("%s, -t %s, median (least):\n", setting.name.c_str(), setting.threads.c_str());
  const auto print = [](const char* what, const std::vector<double>& seconds) {
    std::printf("  %-44s %8.0f us (%.0f)\n", what, Median(seconds) * 1e6, Least(seconds) * 1e6);
  };
  print("a token in one process", alone);
  print("  outside its layers", outside_alone);
  print("a token in three processes", split);
  print("  outside its layers", outside_split);
  print("bare round trip at this beat", bare);
  print("bare round trip without pauses", at_once);
  std::printf("  ratio %.2f, at most %.1f\n", ratio, kLimit);
  EXPECT_GT(ratio, 0);
  EXPECT_LT(ForwardedBy(coordinator), static_cast<int>(split.size()) * kTokens / 10)
      << "frames took the direct link, as the bare round trip does";
  return ratio;
}

// With rows as wide as SmolLM2's and so little to compute that the pauses are short.
TEST(ClusterCost, SplittingASmallModelAddsAtMostTheBareRoundTripAndAThird) {
  const TestFolder folder;
  const std::string model = folder.Path("small.gguf");
  WriteTinyModel({.n_embd = 576,
                  .n_ff = 576,
                  .n_layers = 8,
                  .n_heads = 9,
                  .n_kv_heads = 3,
                  .type = TensorType::kQ4_1},
                 model);
  EXPECT_LE(CostOfSplitting({"small model", model, "1"}), kLimit);
}

TEST(ClusterCost, SplittingSmolLM2AddsAtMostTheBareRoundTripAndAThird) {
  EXPECT_LE(CostOfSplitting({"SmolLM2", TestModelPath(), "1"}), kLimit);
}

TEST(ClusterCost, AlsoWithTwoThreadsInEachProcess) {
  EXPECT_LE(CostOfSplitting({"SmolLM2", TestModelPath(), "2"}), kLimit);
}

}  // namespace
}  // namespace mortar
