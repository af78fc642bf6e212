// Goal: a job whose ranks are not those that were meant is refused with the numbers; text that
// reached another machine is refused with the flag and the rank; a rank that is missing is named.
#include "cli/cluster_launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "cli/cluster_gate.h"
#include "cli/console.h"

namespace mortar {
namespace {

using testing::HasSubstr;

RankCard Card(const std::string& host, const std::string& boot, const std::string& given) {
  RankCard card;
  std::ranges::copy(host, card.host.begin());
  std::ranges::copy(boot, card.boot.begin());
  std::ranges::copy(given, card.given.begin());
  return card;
}

TEST(ClusterLaunch, OpenMpiOrPmixMustHaveStartedTheProcess) {
  EXPECT_TRUE(IsUsageError(CheckLaunched({{"PATH", "/bin"}})));
  EXPECT_TRUE(CheckLaunched({{"OMPI_COMM_WORLD_SIZE", "2"}}).ok());
  EXPECT_TRUE(CheckLaunched({{"PMIX_RANK", "0"}}).ok());
}

TEST(ClusterLaunch, TwoToNineRanksAreAJob) {
  EXPECT_TRUE(IsUsageError(CheckRanks(1, 0)));
  for (int ranks = 2; ranks <= 9; ++ranks) EXPECT_TRUE(CheckRanks(ranks, 0).ok());
  EXPECT_TRUE(IsUsageError(CheckRanks(10, 0)));
}

TEST(ClusterLaunch, RanksThatShareLayersAreWholeWorkers) {
  for (const int ranks : {3, 5, 7, 17}) EXPECT_TRUE(CheckRanks(ranks, 0, 2).ok()) << ranks;
  for (const int ranks : {4, 7, 25}) EXPECT_TRUE(CheckRanks(ranks, 0, 3).ok()) << ranks;
  for (const int ranks : {1, 2, 4, 18, 19}) EXPECT_TRUE(IsUsageError(CheckRanks(ranks, 0, 2)));
  EXPECT_EQ(Message(CheckRanks(4, 0, 2)),
            "this job has 4 ranks, and --tp 2 needs rank 0 and 2 for each worker: 3, 5, 7 …");
  EXPECT_THAT(Message(CheckRanks(19, 0, 2)), HasSubstr("at most 17 are of use"));
}

TEST(ClusterLaunch, RanksThatWereGivenAnotherTpAreRefused) {
  RankCard two = Card("a", "1", "");
  two.shards = 2;
  EXPECT_TRUE(CheckSameShards({two, two, two}).ok());
  const absl::Status status = CheckSameShards({two, two, Card("a", "1", "")});
  EXPECT_TRUE(IsUsageError(status));
  EXPECT_THAT(Message(status), HasSubstr("--tp is 2 at rank 0 and 1 at rank 2"));
}

TEST(ClusterLaunch, OtherRanksThanExpectedAreAFailureAndNoMistakeOfTheCall) {
  EXPECT_TRUE(CheckRanks(3, 3).ok());
  for (const int ranks : {1, 2, 4}) {
    const absl::Status status = CheckRanks(ranks, 3);
    EXPECT_FALSE(status.ok() || IsUsageError(status));
    EXPECT_THAT(Message(status), HasSubstr("--expect-ranks says 3"));
  }
}

std::string GivenBy(const std::vector<std::string>& arguments) {
  const auto line = ParseCommandLine(arguments);
  EXPECT_TRUE(line.ok()) << Message(line.status());
  const auto resolved = Resolve(*line, {});
  EXPECT_TRUE(resolved.ok()) << Message(resolved.status());
  return OwnCard(resolved->settings).given.data();
}

TEST(ClusterLaunch, ACardSaysWhichFlagGaveTheRankSomeOfTheText) {
  EXPECT_EQ(GivenBy({"cluster", "-p", "x", "--system", "y"}), "--prompt");
  EXPECT_EQ(GivenBy({"cluster", "-f", "x", "--system", "y"}), "--system");
  EXPECT_EQ(GivenBy({"cluster", "-f", "x", "--stop", "y"}), "--stop");
  EXPECT_EQ(GivenBy({"cluster", "-f", "x"}), "");
  EXPECT_EQ(GivenBy({"cluster", "-p", "-"}), "");  // standard input
}

TEST(ClusterLaunch, TextMayBeGivenWhereAllRanksAreOnOneMachine) {
  EXPECT_TRUE(CheckText({Card("a", "1", "--prompt"), Card("a", "1", "--prompt")}).ok());
}

TEST(ClusterLaunch, TextThatReachedAnotherMachineIsRefused) {
  const std::vector<RankCard> others = {Card("b", "1", "--system"), Card("a", "2", "--system")};
  for (const RankCard& other : others) {
    const absl::Status status =
        CheckText({Card("a", "1", "--system"), Card("a", "1", "--system"), other});
    EXPECT_TRUE(IsUsageError(status));
    EXPECT_THAT(Message(status), HasSubstr("--system reached rank 2 on "));
  }
}

TEST(ClusterLaunch, RanksWithAnotherPlaceAreRefused) {
  RankCard even = Card("a", "1", "");
  RankCard measured = even;
  const auto put = [](std::string_view place, RankCard& card) {
    std::ranges::copy(place, card.place.begin());
  };
  put("even", even);
  put("measured", measured);
  EXPECT_TRUE(CheckSamePlace({even, even, even}).ok());
  const absl::Status status = CheckSamePlace({even, even, measured});
  EXPECT_TRUE(IsUsageError(status));
  EXPECT_EQ(Message(status),
            "--place is even at rank 0 and measured at rank 2: give all ranks the same");
}

TEST(ClusterLaunch, RanksOnOtherMachinesAreWarnedOf) {
  const RankCard here = Card("a", "1", "");
  EXPECT_EQ(WireWarning({here, here}), "");
  EXPECT_THAT(WireWarning({here, Card("a", "2", "")}), HasSubstr("1 rank is on another machine"));
  EXPECT_THAT(WireWarning({here, Card("b", "1", ""), here, Card("b", "1", "")}),
              HasSubstr("2 ranks are on other machines"));
}

TEST(ClusterLaunch, RanksOnOtherMachinesThatWereGivenNoTextAreFine) {
  EXPECT_TRUE(CheckText({Card("a", "1", "--prompt"), Card("b", "2", "")}).ok());
}

TEST(ClusterLaunch, ASilentRankAndOneThatReadsForTooLongAreToldApart) {
  EXPECT_EQ(WhyAbsent({.rank = 1, .silent = true}, "rank 1"),
            "rank 1 has shown no sign of life for 10 s");
  EXPECT_EQ(WhyAbsent({.rank = 1, .silent = false}, "rank 1"),
            "rank 1 lives, but has not read its model within 600 s");
}

Settings SettingsOf(const std::vector<std::string>& arguments, const Environment& environment) {
  const auto line = ParseCommandLine(arguments);
  EXPECT_TRUE(line.ok()) << Message(line.status());
  const auto resolved = Resolve(*line, environment);
  EXPECT_TRUE(resolved.ok()) << Message(resolved.status());
  return resolved->settings;
}

RankCard CardOf(const std::vector<std::string>& arguments) {
  return OwnCard(SettingsOf(arguments, {}));
}

TEST(ClusterLaunch, FlagsForNodesOutsideAreRefusedWithoutListenAndVariablesAreNot) {
  const std::string path = testing::TempDir() + "mortar_gate.toml";
  std::ofstream(path) << "allow-list = \"allowed\"\n";
  const Environment exported = {{"MORTAR_KEYS", "node.key"},
                                {"MORTAR_ALLOW_LIST", "allowed"},
                                {"MORTAR_INSECURE", "1"},
                                {"MORTAR_PARALLEL", "3"}};
  const std::vector<std::string> listens = {"cluster", "--listen", "tcp://127.0.0.1:0"};
  EXPECT_TRUE(CheckGateFlags(SettingsOf({"cluster"}, {})).ok());
  EXPECT_TRUE(CheckGateFlags(SettingsOf({"cluster"}, exported)).ok())
      << "a person's other nodes have them";
  EXPECT_TRUE(CheckGateFlags(SettingsOf(listens, exported)).ok());
  EXPECT_EQ(SettingsOf(listens, exported).String("keys"), "node.key") << "here they are heeded";
  for (const std::vector<std::string>& said :
       {std::vector<std::string>{"cluster", "--keys", "node.key"},
        {"cluster", "--allow-list", "allowed"},
        {"cluster", "--insecure"},
        {"cluster", "--parallel", "3"},
        {"cluster", "--config", path}}) {
    const absl::Status status = CheckGateFlags(SettingsOf(said, {}));
    EXPECT_TRUE(IsUsageError(status)) << said[1];
    EXPECT_THAT(Message(status), HasSubstr("add --listen URL")) << said[1];
  }
  EXPECT_TRUE(IsUsageError(CheckGateFlags(SettingsOf({"cluster", "--keys", "k"}, exported))))
      << "what is said here counts, whatever is exported";
  std::filesystem::remove(path);
}

TEST(ClusterLaunch, ACardSaysWhetherItsRankIsToOpenTheJobAndWithKeys) {
  const std::vector<std::string> closed = {"cluster"};
  const std::vector<std::string> open = {"cluster", "--listen", "tcp://127.0.0.1:0"};
  const std::vector<std::string> sealed = {"cluster", "--listen", "tcp://127.0.0.1:0", "--keys",
                                           "k"};
  EXPECT_EQ(CardOf(closed).open, 0);
  EXPECT_EQ(CardOf(open).open, 1);
  EXPECT_EQ(CardOf(open).sealed, 0);
  EXPECT_EQ(CardOf(sealed).sealed, 1);
}

TEST(ClusterLaunch, ListenAtAnotherRankAloneIsRefusedAndAtRankZeroAloneIsEnough) {
  RankCard open = Card("a", "1", "");
  open.open = 1;
  const RankCard closed = Card("a", "1", "");
  EXPECT_TRUE(CheckListen({open, open}).ok());
  EXPECT_TRUE(CheckListen({open, closed}).ok());
  const absl::Status status = CheckListen({closed, closed, open});
  EXPECT_TRUE(IsUsageError(status));
  EXPECT_THAT(Message(status), HasSubstr("rank 2 was started with --listen"));
}

}  // namespace
}  // namespace mortar
