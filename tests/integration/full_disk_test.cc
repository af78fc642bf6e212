// Goal: where nothing can be written any more, whoever asked is told in one line, and nodes serve
// on.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/integration/cluster_programs.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;

// /dev/full takes no byte: every write to it is told that no space is left.
Arguments Full(const std::string& stream) {
  return {"sh", "-c", "exec \"$@\" " + stream + ">/dev/full", "sh"};
}

TEST_F(ClusterTest, AnAnswerThatCannotBeWrittenIsOneErrorAndItsPlaceIsFreed) {
  StartCluster(1, {"--parallel", "1"});
  for (const char* form : {"--json", "--json-events", "--stream", "--no-stream"}) {
    SCOPED_TRACE(form);
    ProgramRun edge = EdgeRun(Ask(kPrompt, 100));
    if (std::string(form).starts_with("--json")) {
      edge.arguments.push_back(form);
    } else {
      edge.arguments.insert(edge.arguments.end(), {"--no-json", form});
    }
    edge.under = Full("");
    const ProgramResult result = RunMortar(edge);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find("mortar: write to standard output: No space left on device\n"),
              std::string::npos)
        << result.err;
    // By itself the worker would free its only place after ten minutes.
    EXPECT_EQ(Tokens(24), TokensOfOneProcess(24));
  }
}

TEST_F(ClusterTest, NodesWhoseLogCannotBeWrittenServeOn) {
  StartCoordinator(1);
  NodeProgram worker(Arguments{"worker", "--coordinator", endpoint_, "-m", TestModelPath(), "-t",
                               "1", "-c", "2048", "--log-level", "debug"},
                     Full("2"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Tokens(24), TokensOfOneProcess(24));
  EXPECT_TRUE(worker.Runs());
  EXPECT_EQ(worker.Errors(), "") << "it did write";
}

// A limit of no bytes on files stands for the full disk: both fail a write and leave what was
// there.
TEST(FullDisk, KeysAndListsThatCannotBeWrittenLeaveWhatWasThere) {
  const TestFolder folder;
  const auto keys = [&](const Arguments& arguments, const Arguments& under = {}) {
    return RunMortar(ProgramRun{.arguments = Arguments{"keys"} + arguments +
                                             Arguments{"--allow-list", folder.Path("allowed")},
                                .under = under});
  };
  const Arguments full = {"sh", "-c", "ulimit -f 0; exec \"$@\"", "sh"};
  ExpectOneLineError(keys({"new", "--keys", folder.Path("node")}, full), 1, folder.Path("node"));
  EXPECT_FALSE(std::filesystem::exists(folder.Path("node"))) << "half a key stands in the way";
  ASSERT_EQ(keys({"new", "--keys", folder.Path("node")}).exit_code, 0);

  const std::string key(64, 'a'), other(64, 'b');
  ASSERT_EQ(keys({"allow", key, "--role", "edge"}).exit_code, 0);
  const auto listed = [&] {
    const ProgramResult list = keys({"list", "--keys", folder.Path("node"), "--json"});
    EXPECT_EQ(list.exit_code, 0) << list.err;
    return list.Json()["allowed"];
  };
  const json before = listed();
  ExpectOneLineError(keys({"allow", other, "--role", "edge"}, full), 1, folder.Path("allowed"));
  ExpectOneLineError(keys({"revoke", key}, full), 1, folder.Path("allowed"));
  EXPECT_EQ(listed(), before);
  EXPECT_FALSE(std::filesystem::exists(folder.Path("allowed.new")));
}

}  // namespace
}  // namespace mortar
