// Goal: `mortar plan` says in words and numbers who would host what, of this machine's kind or of
// machines that stand in a file, and refuses a file that it cannot mean anything by.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/integration/cli_process.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;

// 30 layers; the default model's are of one size. The edge is said, so that nothing is measured.
constexpr char kEdge[] = "[edge]\ngb_s = 10\nzone = \"home\"\n";
constexpr char kWay[] = "[[zone]]\nfrom = \"home\"\nto = \"cloud\"\nrtt_ms = 2\n";

std::string Node(const std::string& name, const std::string& gb_s, const std::string& memory,
                 const std::string& more = "") {
  return "[[node]]\nname = \"" + name + "\"\ngb_s = " + gb_s + "\nmemory = \"" + memory +
         "\"\nzone = \"cloud\"\n" + more;
}

ProgramResult Plan(std::vector<std::string> extra) {
  std::vector<std::string> arguments = {"plan", "-m", TestModelPath()};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  return RunMortar(arguments);
}

TEST(CliPlan, PlacesLayersBySizesAndPredicts) {
  const json plan =
      Plan({"--workers", "2", "--front", "3", "--back", "1", "--layers", "20,6", "--json"}).Json();
  ASSERT_EQ(plan["hops"].size(), 4u) << plan;
  EXPECT_EQ(plan["hops"][0]["layers"], json({0, 3}));
  EXPECT_EQ(plan["hops"][1]["layers"], json({3, 23}));
  EXPECT_EQ(plan["hops"][2]["layers"], json({23, 29}));
  EXPECT_EQ(plan["hops"][3]["layers"], json({29, 30}));
  EXPECT_GT(plan["predicted_ms_per_token"].get<double>(), 0);
  EXPECT_EQ(plan["dropped"], json::array());
}

TEST(CliPlan, CountsTheBytesOfEachNodeAsARunDoes) {
  const json run = RunMortar({"run", "-m", TestModelPath(), "-p", "a", "-n", "1", "--json"}).Json();
  const TestFolder folder;
  const std::string file = folder.Write("nodes.toml", kEdge + Node("a", "40", "1G") + kWay);
  for (const json& plan :
       {Plan({"--json"}).Json(), Plan({"--nodes", file, "-c", "256", "--json"}).Json()}) {
    ASSERT_EQ(plan["hops"].size(), run["route"].size());
    double ms = 0;
    for (size_t i = 0; i < run["route"].size(); ++i) {
      EXPECT_EQ(plan["hops"][i]["layers"], run["route"][i]["layers"]);
      EXPECT_EQ(plan["hops"][i]["bytes"], run["route"][i]["bytes"]);
      ms += plan["hops"][i]["predicted_ms_per_token"].get<double>() +
            plan["hops"][i]["link_ms"].get<double>();
    }
    EXPECT_NEAR(ms, plan["predicted_ms_per_token"].get<double>(), 1e-9);
    // The head is read there though its bytes lie at the front.
    EXPECT_GT(plan["hops"][2]["predicted_ms_per_token"], plan["hops"][0]["predicted_ms_per_token"]);
  }
}

TEST(CliPlan, NodesOfAFileGetTheSharesThatMakeATokenFastest) {
  const TestFolder folder;
  const std::string file =
      folder.Write("nodes.toml", kEdge + Node("fast", "40", "1G") + Node("same", "40", "1G") +
                                     Node("slow", "0.5", "1G") + Node("tiny", "40", "100K") + kWay);
  const json plan =
      Plan({"--nodes", file, "--json", "--parallel", "2", "-c", "256", "--front", "3"}).Json();
  ASSERT_EQ(plan["hops"].size(), 3u) << plan;
  EXPECT_EQ(plan["hops"][0]["layers"], json({0, 3}));
  const json hop = plan["hops"][1];
  EXPECT_EQ(hop["node"], "fast");
  EXPECT_EQ(hop["role"], "worker");
  EXPECT_EQ(hop["layers"], json({3, 28}));
  EXPECT_DOUBLE_EQ(hop["link_ms"], 1) << "half of the round trip";
  EXPECT_EQ(hop["sessions"], 1);
  EXPECT_EQ(hop["replicas"], json({{{"node", "same"}, {"sessions", 1}}}));
  // Bytes over the speed that was said, and the way there and back.
  double ms = 2;
  for (const json& h : plan["hops"]) ms += h["predicted_ms_per_token"].get<double>();
  EXPECT_NEAR(plan["predicted_ms_per_token"].get<double>(), ms, 1e-9);
  EXPECT_NEAR(hop["predicted_ms_per_token"].get<double>(), hop["bytes"].get<double>() / 40e6, 1e-9);
  ASSERT_EQ(plan["dropped"].size(), 2u) << plan;
  EXPECT_EQ(plan["dropped"][0]["node"], "slow");
  EXPECT_NE(plan["dropped"][0]["why"].get<std::string>().find("slower"), std::string::npos);
  EXPECT_EQ(plan["dropped"][1]["node"], "tiny");
  EXPECT_NE(plan["dropped"][1]["why"].get<std::string>().find("no room"), std::string::npos);
  EXPECT_EQ(plan["ms_by_nodes"][0], nullptr) << "the edge alone may not";
  EXPECT_EQ(plan["ms_by_nodes"][1], plan["predicted_ms_per_token"]);
}

TEST(CliPlan, ExplainsItselfInWordsToo) {
  const TestFolder folder;
  const std::string file = folder.Write(
      "nodes.toml", kEdge + Node("rack\\u001b1", "40", "1G") + Node("slow", "0.5", "1G") + kWay);
  const ProgramResult plan = Plan({"--nodes", file, "-c", "256"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_NE(plan.out.find("| rack\\x1b1"), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("ms a token: 1 node: "), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("as flags: coordinator --workers 1 --layers 26, workers started in this "
                          "order; edge --front 2 --back 2\n"),
            std::string::npos)
      << plan.out;
  EXPECT_NE(plan.out.find("left out: slow: it would make a token slower"), std::string::npos)
      << plan.out;
}

TEST(CliPlan, AnEdgeWithMemoryForAllMayBeFasterThanACloud) {
  const TestFolder folder;
  const std::string file = folder.Write("nodes.toml", kEdge + Node("a", "12", "1G") + kWay);
  const std::vector<std::string> nodes = {"--nodes", file, "--json", "-c", "256", "--edge-memory"};
  const auto with = [&](const std::string& memory) {
    std::vector<std::string> arguments = nodes;
    arguments.push_back(memory);
    return Plan(arguments);
  };
  const json alone = with("1G").Json();
  ASSERT_EQ(alone["hops"].size(), 2u) << alone;
  EXPECT_EQ(alone["hops"][0]["layers"], json({0, 28}));
  EXPECT_EQ(alone["hops"][0]["wire_bytes_per_token"], 0);
  EXPECT_NE(alone["why"].get<std::string>().find("a cloud would be slower"), std::string::npos);
  // The head and the embedding are 29 MiB, a layer is some 2 MiB.
  const json some = with("60M").Json();
  ASSERT_EQ(some["hops"].size(), 3u) << some;
  EXPECT_EQ(some["hops"][1]["node"], "a");
  ExpectOneLineError(with("10M"), 1, "no room for the first 2 and last 2 layers");
  ExpectOneLineError(with("much"), 2, "--edge-memory: \"much\" is no size");
}

TEST(CliPlan, WithoutAFileTheEdgeIsComparedWithMachinesLikeItself) {
  const json plan = Plan({"--edge-memory", "4G", "--json", "-c", "256"}).Json();
  ASSERT_EQ(plan["hops"].size(), 2u) << plan;
  EXPECT_NE(plan["why"].get<std::string>().find("a cloud would be no faster"), std::string::npos)
      << plan["why"];
  EXPECT_NE(plan["why"].get<std::string>().find("measured here"), std::string::npos);
}

TEST(CliPlan, RefusesWhatItCannotPlan) {
  const TestFolder folder;
  const auto file = [&](const std::string& text) { return folder.Write("nodes.toml", text); };
  ExpectOneLineError(Plan({"--nodes", folder.Path("none.toml")}), 2, "none.toml");
  ExpectOneLineError(Plan({"--nodes", file("[[node]]\nname = \"a\"\nspeed = 3\n")}), 2,
                     "nodes.toml:3: [node] has no key speed");
  ExpectOneLineError(Plan({"--nodes", file(kEdge + Node("a", "1", "4K") + kWay)}), 1,
                     "the nodes cannot host layers [2, 28)");
  const std::string good = file(kEdge + Node("a", "1", "1G") + kWay);
  ExpectOneLineError(Plan({"--nodes", good, "--workers", "2"}), 2, "leave --workers and --layers");
  ExpectOneLineError(Plan({"--edge-memory", "1G", "--layers", "26"}), 2, "--edge-memory");
}

}  // namespace
}  // namespace mortar
