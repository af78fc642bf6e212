// Goal: a worker without the model's file fetches what it hosts and gives the same tokens; it goes
// on where it was killed, moves nothing that it has, and takes no bytes but the right ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/cluster_programs.h"
#include "tests/support/link_proxy.h"
#include "tests/support/sanitized.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr int kLayersBetween = 6;  // of eight, one at each end with the edge

// A number of a log line: "bytes=12".
int64_t Field(const std::string& line, const std::string& name) {
  const size_t at = line.find(" " + name + "=");
  EXPECT_NE(at, std::string::npos) << name << " is not in: " << line;
  return at == std::string::npos ? -1 : std::atoll(line.c_str() + at + name.size() + 2);
}

class BrickFetchTest : public ClusterTest {
 protected:
  BrickFetchTest() {
    // Of layers of 2 MB, so that there is time to be killed in.
    model_ = folder_.Path("model.gguf");
    WriteTinyModel({.n_embd = 256, .n_ff = 384, .n_layers = kLayersBetween + 2}, model_);
  }

  Arguments AskTiny(int n = 12) {
    return {"-m",     model_,   "-t", "1",  "--front",         "1",  "--back",   "1", "--raw",
            "--json", "--temp", "0",  "-n", std::to_string(n), "-p", "a village"};
  }
  json Expected(int n = 12) { return TokensOf(RunMortar(Arguments{"run"} + AskTiny(n))); }
  json Answered(int n = 12) { return TokensOf(Edge(AskTiny(n))); }
  std::unique_ptr<BackgroundAnswer> BeginTiny() {
    return std::make_unique<BackgroundAnswer>(EdgeRun(AskTiny()));
  }

  std::string CacheOf(const std::string& name) { return folder_.Path(name); }
  NodeProgram& StartFetcher(const std::string& cache, const Arguments& flags = {}) {
    workers_.push_back(std::make_unique<NodeProgram>(Arguments{"worker", "--coordinator", endpoint_,
                                                               "--brick-cache", CacheOf(cache),
                                                               "-t", "1", "--log-level", "info"} +
                                                     flags));
    return *workers_.back();
  }
  // Bytes of bricks in a folder that have this end.
  uint64_t BytesIn(const std::string& cache, const std::string& end) {
    uint64_t bytes = 0;
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator(CacheOf(cache), error)) {
      if (file.path().extension() != end) continue;
      const uint64_t size = file.file_size(error);
      if (!error) bytes += size;
    }
    return bytes;
  }
  uint64_t FetchedBytes(const std::string& cache) {
    return BytesIn(cache, ".brick") + BytesIn(cache, ".part");
  }

  TestFolder folder_;
  std::string model_;
};

TEST_F(BrickFetchTest, AWorkerWithoutTheModelGivesTheTokensOfOneProcess) {
  StartCoordinator(1);
  NodeProgram& worker = StartFetcher("a");
  worker.Line("waits for a node that has the model");
  EXPECT_EQ(Answered(), Expected());
  const std::string ready = worker.Line("bricks_ready");
  EXPECT_EQ(Field(ready, "fetched"), kLayersBetween);
  EXPECT_EQ(Field(ready, "here"), 0);
  EXPECT_GT(Field(ready, "bytes"), kLayersBetween * 1'000'000);
  EXPECT_EQ(BytesIn("a", ".part"), 0u);
}

TEST_F(BrickFetchTest, AWarmStartMovesNoByteOfTheWeights) {
  StartCoordinator(1);
  StartFetcher("a");
  EXPECT_EQ(Answered(), Expected());
  EXPECT_EQ(workers_.back()->Stop(), 143);
  const std::string first = workers_.back()->Line("brick_traffic");
  workers_.clear();

  NodeProgram& again = StartFetcher("a");
  EXPECT_EQ(Answered(), Expected());
  const std::string ready = again.Line("bricks_ready");
  EXPECT_EQ(Field(ready, "here"), kLayersBetween);
  EXPECT_EQ(Field(ready, "fetched"), 0);
  EXPECT_EQ(Field(ready, "bytes"), 0);
  EXPECT_EQ(again.Stop(), 143);
  EXPECT_THAT(again.Errors(), testing::Not(HasSubstr("bricks_hashed")));
  // The outline as well: it was there before the worker joined.
  EXPECT_EQ(Field(again.Line("brick_traffic"), "fetched_bytes"), 0);
}

TEST_F(BrickFetchTest, AWorkerThatWasKilledGoesOnWhereItWas) {
  StartCoordinator(1);
  // Some 12 MB at 3 MB/s.
  const LinkProxy slow(endpoint_, {.bytes_per_second = 3e6});
  const std::string fast = endpoint_;
  endpoint_ = slow.endpoint();
  NodeProgram& killed = StartFetcher("a", {"--listen", "none"});
  killed.Line("waits for a node that has the model");
  endpoint_ = fast;
  const auto answer = BeginTiny();
  const auto give_up = std::chrono::steady_clock::now() + seconds(60);
  while (FetchedBytes("a") < 2'000'000 && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  killed.Kill();
  const uint64_t left = FetchedBytes("a");
  ASSERT_GE(left, 2'000'000u);
  const int64_t whole = static_cast<int64_t>(std::distance(
      std::filesystem::directory_iterator(CacheOf("a")), std::filesystem::directory_iterator{}));
  ASSERT_LT(whole, kLayersBetween + 3) << "it had all before it was killed";

  NodeProgram& again = StartFetcher("a");
  EXPECT_EQ(answer->Tokens(), Expected());
  const std::string ready = again.Line("bricks_ready");
  const int64_t bytes = Field(ready, "bytes");
  EXPECT_EQ(Field(ready, "here") + Field(ready, "fetched"), kLayersBetween);
  EXPECT_GT(Field(ready, "resumed_bytes") + Field(ready, "here"), 0);
  // What was written was not sent again: all together is what the folder holds.
  const auto in_folder = static_cast<int64_t>(FetchedBytes("a"));
  EXPECT_EQ(bytes + static_cast<int64_t>(left), in_folder);
}

TEST_F(BrickFetchTest, ANodeThatSendsWrongBytesIsNamedAndAnotherIsAsked) {
  StartCoordinator(1);
  StartFetcher("liar");
  EXPECT_EQ(Answered(), Expected());
  EXPECT_EQ(workers_.back()->Stop(), 143);
  workers_.clear();
  // A bit of layer 6 at the end of its file, behind the back of whoever looks at sizes and times.
  bool changed = false;
  for (const auto& file : std::filesystem::directory_iterator(CacheOf("liar"))) {
    std::ifstream in(file.path(), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    if (bytes.find("blk.6.attn_q.weight") == std::string::npos) continue;
    if (file.path().extension() != ".brick" || bytes.starts_with("GGUF")) continue;
    const auto time = std::filesystem::last_write_time(file.path());
    std::fstream out(file.path(), std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(-5, std::ios::end);
    out.put(static_cast<char>(bytes[bytes.size() - 5] ^ 1));
    out.close();
    std::filesystem::last_write_time(file.path(), time);
    changed = true;
  }
  ASSERT_TRUE(changed);

  StartCoordinator(2);
  const auto answer = BeginTiny();
  NodeProgram& liar = StartFetcher("liar", {"--layers", "1-4"});
  liar.Line("joined");
  NodeProgram& honest = StartFetcher("honest", {"--layers", "4-7"});
  EXPECT_EQ(answer->Tokens(), Expected());
  const std::string refused = honest.Line("brick_refused");
  EXPECT_THAT(refused, HasSubstr("layers.6"));
  EXPECT_THAT(refused, HasSubstr("expected"));
  EXPECT_EQ(Field(honest.Line("bricks_ready"), "fetched"), 3);
}

TEST_F(BrickFetchTest, BricksComeOverEncryptedLinksToo) {
  const auto new_key = [&](const std::string& name) {
    const ProgramResult made = RunMortar({"keys", "new", "--keys", folder_.Path(name)});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return made.out.substr(0, 64);
  };
  const std::string server = new_key("coordinator");
  const std::string list = folder_.Path("allowed");
  for (const std::string role : {"worker", "edge"}) {
    const std::string key = new_key(role);
    ASSERT_EQ(RunMortar({"keys", "allow", key, "--role", role, "--allow-list", list}).exit_code, 0);
  }
  const Arguments listed = {"--allow-list", list};
  StartCoordinator(1, "tcp://127.0.0.1:0",
                   Arguments{"--keys", folder_.Path("coordinator")} + listed);
  const auto keyed = [&](const std::string& role) {
    return Arguments{"--keys", folder_.Path(role), "--server-key", server};
  };
  NodeProgram& worker = StartFetcher("a", keyed("worker") + listed);
  EXPECT_EQ(TokensOf(Edge(AskTiny() + keyed("edge"))), Expected());
  EXPECT_EQ(Field(worker.Line("bricks_ready"), "fetched"), kLayersBetween);
}

TEST_F(BrickFetchTest, AFolderThatIsTooSmallIsSaidToWhoeverAsks) {
  StartCoordinator(1);
  StartFetcher("a", {"--brick-cache-size", "2M"});
  const ProgramResult result = Edge(AskTiny());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("could not load layers [1, 7)"));
  // Beside the outline, of 2 MiB.
  EXPECT_THAT(result.err, HasSubstr("--brick-cache-size leaves 209"));
}

TEST_F(BrickFetchTest, MistakesInItsFlagsAreSaid) {
  StartCoordinator(1);
  const Arguments worker = {"worker", "--coordinator", endpoint_, "--brick-cache", CacheOf("a")};
  ExpectOneLineError(RunMortar(worker + Arguments{"-m", model_}), 2,
                     "with --brick-cache the model comes from other nodes");
  ExpectOneLineError(RunMortar(worker + Arguments{"--brick-cache-size", "much"}), 2, "much");
  ExpectOneLineError(RunMortar({"worker", "--coordinator", endpoint_, "--brick-cache", ""}), 2,
                     "--brick-cache: \"\" is no folder");
  StartFetcher("a").Line("waits for a node");
  ExpectOneLineError(RunMortar(worker), 1, "another process has this folder");
}

}  // namespace
}  // namespace mortar
