// Goal: with keys, programs give the tokens of one process and speak with nobody else; and what a
// person does wrong with keys is said in one line.
#include "tests/integration/cluster_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "protocol/round_trip.h"
#include "tests/support/link_proxy.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Each;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::SizeIs;

constexpr int kRowBytes = 576 * 4;

// --- Good ---

TEST_F(ClusterKeysTest, DirectRelayedAndThroughARelayOfItsOwnGiveTheTokensOfOneProcess) {
  const json expected = TokensOfOneProcess(24);
  StartBoth();
  EXPECT_EQ(Tokens(24, Dials("desk")), expected);
  workers_.clear();
  StartBoth({"--listen", "none"});
  EXPECT_EQ(Tokens(24, Dials("desk")), expected);

  workers_.clear();
  StartCoordinator(2, "tcp://127.0.0.1:0", Listens("coordinator"));
  NodeProgram relay(Arguments{"relay", "--listen", "tcp://127.0.0.1:0", "--coordinator", endpoint_,
                              "--log-level", "info"} +
                    WorkerFlags("relay"));
  const std::string line = relay.Line("relay at ");
  const Arguments through = {"--relay", line.substr(line.find("tcp://")), "--no-direct",
                             "--relay-key", public_["relay"]};
  StartWorker(WorkerFlags("lab-1") + through);
  StartWorker(WorkerFlags("lab-2") + through);
  EXPECT_EQ(Tokens(24, Dials("desk") + through), expected);
  EXPECT_GT(ForwardedBy(relay), 2 * 24);
}

// Five that compute: the edge and four workers.
TEST_F(ClusterKeysTest, FiveNodesGiveTheTokensOfOneProcessDirectAndRelayed) {
  const std::vector<std::string> labs = {"lab-1", "lab-2", "lab-3", "lab-4"};
  for (const std::string& lab : {labs[2], labs[3]}) {
    MakeKeys(lab);
    Allow(lab, "worker");
  }
  const Arguments drawn = {"--temp", "1", "--seed", "7", "--draft", "lookup"};
  const json tokens = TokensOfOneProcess(24);
  const json drawn_tokens = TokensOf(RunMortar(Arguments{"run"} + Ask(kPrompt, 24) + drawn));
  for (const Arguments& listens : {Arguments{}, Arguments{"--listen", "none"}}) {
    SCOPED_TRACE(listens.empty() ? "direct" : "relayed");
    workers_.clear();
    StartCoordinator(4, "tcp://127.0.0.1:0", Listens("coordinator"));
    for (const std::string& lab : labs) StartWorker(WorkerFlags(lab) + listens);
    const ProgramResult result = Edge(Ask(kPrompt, 24) + Dials("desk"));
    EXPECT_EQ(TokensOf(result), tokens);
    EXPECT_THAT(result.Json()["route"], SizeIs(6));  // the edge is first and last
    EXPECT_EQ(Tokens(24, Dials("desk") + drawn), drawn_tokens);
  }
}

// Each with a key of its own, by which it signs: workers take the routes of both.
TEST_F(ClusterKeysTest, WhenOneOfTwoCoordinatorsIsKilledTheOtherSignsRoutes) {
  const json expected = TokensOfOneProcess(24);
  MakeKeys("coordinator-2");
  StartCoordinator(2, "tcp://127.0.0.1:0", Listens("coordinator"));
  NodeProgram second(
      Arguments{"coordinator", "--listen", "tcp://127.0.0.1:0", "--workers", "2", "--index", "2"} +
      Listens("coordinator-2"));
  const std::string line = second.Line("coordinator 2 at ");
  const size_t at = line.find("tcp://");
  const Arguments both = {"--coordinator", line.substr(at, line.find(',', at) - at), "--server-key",
                          public_["coordinator-2"]};
  StartWorker(WorkerFlags("lab-1") + both);
  StartWorker(WorkerFlags("lab-2") + both);
  EXPECT_EQ(Tokens(24, Dials("desk") + both), expected);
  coordinator_->Kill();
  EXPECT_EQ(Tokens(24, Dials("desk") + both), expected);
}

// The first one's list has this key as an edge's.
TEST_F(ClusterKeysTest, AWorkerThatFetchesItsModelBeginsWhereOneOfTwoCoordinatorsTakesIt) {
  MakeKeys("coordinator-2");
  const ProgramResult listed = RunMortar({"keys", "allow", public_["lab-1"], "--role", "edge",
                                          "--name", "lab-1", "--allow-list", File("other")});
  ASSERT_EQ(listed.exit_code, 0) << listed.err;
  StartCoordinator(1, "tcp://127.0.0.1:0",
                   {"--keys", File("coordinator"), "--allow-list", File("other")});
  NodeProgram second(
      Arguments{"coordinator", "--listen", "tcp://127.0.0.1:0", "--workers", "1", "--index", "2"} +
      Listens("coordinator-2"));
  const std::string line = second.Line("coordinator 2 at ");
  const size_t at = line.find("tcp://");
  const auto fetches = [&](const std::string& cache) {
    return Arguments{"worker", "--brick-cache", File(cache), "--coordinator", endpoint_} +
           WorkerFlags("lab-1");
  };
  NodeProgram worker(fetches("a") + Arguments{"--coordinator",
                                              line.substr(at, line.find(',', at) - at),
                                              "--server-key", public_["coordinator-2"]});
  worker.Line("waits for a node that has the model");
  ExpectOneLineError(RunMortar(fetches("b")), 1, "this node's key is not allowed as worker");
}

TEST_F(ClusterKeysTest, AHopAndTokenCostsTheRowsAndAtMost300Bytes) {
  StartBoth();
  const auto hops = [&](int n) -> json {
    const ProgramResult result = Edge(Ask(kPrompt, n) + Dials("desk"));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.Json()["wire"]["hops"];
  };
  const json one = hops(1), more = hops(21);
  const std::vector<int> bytes = BytesOfATokenByHop(one, more, 20);
  EXPECT_THAT(bytes, SizeIs(3));
  // What CURVE adds to both parts, and the seal, are counted.
  EXPECT_THAT(bytes, Each(AllOf(Ge(kRowBytes + 2 * 33 + 16), Le(kRowBytes + 300))));
}

TEST_F(ClusterKeysTest, BytesThatAreCountedAreThoseThatCross) {
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  StartWorker(WorkerFlags("lab-1"));
  const LinkProxy link(endpoint_, {});
  endpoint_ = link.endpoint();
  const ProgramResult result = Edge(Ask(kPrompt, 48) + Dials("desk") + Arguments{"--no-direct"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json hops = result.Json()["wire"]["hops"];
  ASSERT_EQ(hops.size(), 2u);
  const LinkTraffic crossed = link.traffic();
  // The greeting, both Hellos, the route and signs of life: less than two rows. And the padding of
  // the first round trips, a row each.
  constexpr uint64_t kBeside = (2 + RoundTripMeter::kSamples) * kRowBytes;
  const auto up = hops[0]["bytes"].get<uint64_t>(), down = hops[1]["bytes"].get<uint64_t>();
  EXPECT_GE(crossed.up, up);
  EXPECT_LE(crossed.up, up + kBeside);
  EXPECT_GE(crossed.down, down);
  EXPECT_LE(crossed.down, down + kBeside);
}

TEST_F(ClusterKeysTest, AKilledWorkerIsReplacedAndTheTokensAreTheSame) {
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  NodeProgram& first = StartWorker(WorkerFlags("lab-1"));
  StartWorker(WorkerFlags("lab-2"));
  auto answer = BeginAnswer(200, Dials("desk"));
  first.Kill();
  EXPECT_EQ(answer->Tokens(), TokensOfOneProcess(200));
}

TEST_F(ClusterKeysTest, AddressesOffThisMachineNeedNoFurtherWord) {
  NodeProgram coordinator(Arguments{"coordinator", "--listen", "tcp://0.0.0.0:0"} +
                          Listens("coordinator"));
  EXPECT_THAT(coordinator.Line("coordinator at "), HasSubstr("tcp://0.0.0.0:"));
  EXPECT_EQ(coordinator.Errors().find("warning"), std::string::npos);
}

// --- Bad, and good turning bad ---

TEST_F(ClusterKeysTest, WhoIsNotOnTheListOrHasNoKeysIsToldWithinHisTime) {
  StartBoth();
  MakeKeys("stranger");
  const ProgramResult stranger = Edge(Ask(kPrompt, 4) + Dials("stranger"));
  ExpectOneLineError(stranger, 1, "this node's key is not on its allow-list");
  EXPECT_EQ(stranger.err.find("waited"), std::string::npos) << "said as soon as it is known";
  ExpectOneLineError(Edge(Ask(kPrompt, 4)), 1, "one of the two has keys and the other has none");
  ExpectOneLineError(Edge(Ask(kPrompt, 4) + Dials("desk", {"lab-1"})), 1,
                     "its public key is not the one that was given");
  EXPECT_EQ(Tokens(8, Dials("desk")), TokensOfOneProcess(8)) << "others are undisturbed";
}

TEST_F(ClusterKeysTest, ACoordinatorThatStandsStillIsNotToldAsOneWithAnotherKey) {
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  coordinator_->Suspend();
  const ProgramResult result = Edge(Ask(kPrompt, 4) + Dials("desk"));
  ExpectOneLineError(result, 1, "it stands still");
  EXPECT_EQ(result.err.find("the one that was given"), std::string::npos) << result.err;
}

TEST_F(ClusterKeysTest, AWorkerThatDoesNotAllowTheEdgeIsReachedAnotherWayAndThatIsSaid) {
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  ASSERT_EQ(RunMortar({"keys", "allow", public_["lab-2"], "--role", "worker", "--allow-list",
                       File("allowed-at-lab-1")})
                .exit_code,
            0);
  NodeProgram& worker =
      StartWorker(Dials("lab-1") + Arguments{"--allow-list", File("allowed-at-lab-1")});
  const ProgramResult result = Edge(Ask(kPrompt, 24) + Dials("desk"));
  EXPECT_EQ(TokensOf(result), TokensOfOneProcess(24));
  EXPECT_THAT(result.err, HasSubstr("not_direct"));
  EXPECT_THAT(result.err, HasSubstr("this node's key is not on its allow-list"));
  EXPECT_THAT(worker.Line("not_allowed"), HasSubstr(public_["desk"]));
}

TEST_F(ClusterKeysTest, AWorkerWhoseKeyIsRevokedWhileTheCoordinatorIsAwaySaysSo) {
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  NodeProgram& worker = StartWorker(WorkerFlags("lab-1"));
  coordinator_->Kill();
  Revoke("lab-1");
  worker.Line("coordinator_lost");
  StartCoordinator(1, endpoint_, Listens("coordinator"));
  EXPECT_THAT(worker.Line("coordinator_refuses"),
              HasSubstr("this node's key is not on its allow-list"));
  EXPECT_TRUE(worker.Runs()) << "it tries on: a list can be mended";
}

TEST_F(ClusterKeysTest, AnEdgesKeyIsNoWorkers) {
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  ExpectOneLineError(
      RunMortar(Arguments{"worker", "--coordinator", endpoint_, "-m", TestModelPath(), "-t", "1"} +
                WorkerFlags("desk")),
      1, "this node's key is not allowed as worker");
}

TEST_F(ClusterKeysTest, AWorkerThatIsRevokedEndsAndItsSessionGoesOnElsewhere) {
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  NodeProgram& first = StartWorker(WorkerFlags("lab-1"));
  StartWorker(WorkerFlags("lab-2"));
  auto answer = BeginAnswer(200, Dials("desk"));
  Revoke("lab-1");
  EXPECT_EQ(answer->Tokens(), TokensOfOneProcess(200));
  EXPECT_EQ(first.End(), 1);
  EXPECT_THAT(first.Errors(), HasSubstr("not on the allow-list any more"));
}

TEST_F(ClusterKeysTest, AnEdgeThatIsRevokedAmidItsAnswerGetsNoMoreOfIt) {
  StartBoth();
  ProgramResult result;
  std::thread edge([&] { result = Edge(Ask(kPrompt, 2000) + Dials("desk")); });
  coordinator_->Line("route_answered");
  Revoke("desk");
  edge.join();
  ExpectOneLineError(result, 1, "allow-list");
}

TEST_F(ClusterKeysTest, AListThatIsBrokenWhileANodeRunsIsSaidAndTheOldOneHolds) {
  StartBoth();
  std::filesystem::rename(File("allowed"), File("kept"));
  coordinator_->Line("allow_list_unreadable");
  EXPECT_EQ(Tokens(8, Dials("desk")), TokensOfOneProcess(8));
  std::filesystem::rename(File("kept"), File("allowed"));
  Revoke("desk");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  ExpectOneLineError(Edge(Ask(kPrompt, 4) + Dials("desk")), 1, "allow-list");
}

TEST_F(ClusterKeysTest, FlagsThatDoNotFitTogetherAreSaid) {
  const Arguments edge = Arguments{"edge"} + Ask(kPrompt, 4);
  ExpectOneLineError(RunMortar(edge + Arguments{"--keys", File("desk")}), 2, "add --server-key");
  ExpectOneLineError(RunMortar(edge + Arguments{"--server-key", public_["desk"]}), 2,
                     "add --keys FILE");
  ExpectOneLineError(RunMortar(edge + Arguments{"--keys", File("desk"), "--server-key", "12"}), 2,
                     "--server-key: a public key has 64 hexadecimal digits");
  ExpectOneLineError(RunMortar(edge + Arguments{"--relay", "tcp://127.0.0.1:4751"} + Dials("desk")),
                     2, "add --relay-key");
  ExpectOneLineError(RunMortar(edge + Dials("desk") + Arguments{"--insecure"}), 2,
                     "--insecure is for nodes without keys");
  ExpectOneLineError(RunMortar({"coordinator", "--keys", File("coordinator")}), 2,
                     "add --allow-list FILE");
  ExpectOneLineError(RunMortar(Arguments{"coordinator", "--keys", File("none")} +
                               Arguments{"--allow-list", File("allowed")}),
                     1, File("none"));
  std::filesystem::permissions(File("coordinator"), std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  ExpectOneLineError(RunMortar(Arguments{"coordinator"} + Listens("coordinator")), 1, "chmod 600");
}

// --- mortar keys ---

TEST_F(ClusterKeysTest, KeysAreMadeListedAllowedAndRevoked) {
  const ProgramResult listed = Keys({"list", "--keys", File("lab-1"), "--json"});
  ASSERT_EQ(listed.exit_code, 0) << listed.err;
  json report = listed.Json();
  EXPECT_EQ(report["public"], public_["lab-1"]);
  ASSERT_EQ(report["allowed"].size(), 4u);
  EXPECT_EQ(report["allowed"][2]["public"], public_["desk"]);
  EXPECT_EQ(report["allowed"][2]["roles"], json::array({"edge"}));
  EXPECT_EQ(report["allowed"][2]["name"], "desk");
  EXPECT_EQ(listed.out.find("secret"), std::string::npos);

  Revoke("desk");
  Allow("lab-1", "worker,edge");
  report = Keys({"list", "--keys", File("lab-1"), "--json"}).Json();
  ASSERT_EQ(report["allowed"].size(), 3u);
  EXPECT_EQ(report["allowed"][2]["roles"], json::array({"worker", "edge"}));
  report = Keys({"revoke", public_["lab-2"], "--json"}).Json();
  EXPECT_EQ(report["allowed"].size(), 2u);
  EXPECT_EQ(Keys({"new", "--keys", File("more"), "--json"}).Json()["file"], File("more"));
  EXPECT_THAT(Keys({"list", "--keys", File("lab-1")}).out,
              HasSubstr("this node: " + public_["lab-1"] + "\n"));
}

TEST_F(ClusterKeysTest, TheListBesideAKeyFileIsFoundWithoutBeingNamed) {
  const ProgramResult listed = RunMortar({"keys", "list", "--keys", File("lab-1"), "--json"});
  ASSERT_EQ(listed.exit_code, 0) << listed.err;
  EXPECT_EQ(listed.Json()["list"], File("allowed"));
  EXPECT_EQ(listed.Json()["allowed"].size(), 4u);
}

TEST_F(ClusterKeysTest, WhatKeysCannotDoIsSaid) {
  ExpectOneLineError(Keys({"new", "--keys", File("desk")}), 1, "File exists");
  ExpectOneLineError(Keys({"allow", "abc", "--role", "edge"}), 2, "64 hexadecimal digits");
  ExpectOneLineError(Keys({"allow", public_["desk"]}), 2, "--role");
  ExpectOneLineError(Keys({"allow", public_["desk"], "--role", "coordinator"}), 2, "is no role");
  ExpectOneLineError(Keys({"allow", "--role", "edge"}), 2, "give the public key");
  ExpectOneLineError(Keys({"allow", public_["desk"], "--role", "edge", "--name", "a\nb"}), 2,
                     "words in one line");
  ExpectOneLineError(Keys({"new", public_["desk"]}), 2, "takes no public key");
  ExpectOneLineError(Keys({"revoke", std::string(64, 'a')}), 1, "is not on this list");
  ExpectOneLineError(Keys({"sign"}), 2, "new,list,allow,revoke,next,promote");
}

}  // namespace
}  // namespace mortar
