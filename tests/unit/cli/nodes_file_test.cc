// Goal: a file of nodes means what it says, and every mistake in it is found and named with its
// line; no text is too odd for an error.
#include "cli/nodes_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/byte_size.h"
#include "cli/layer_text.h"

namespace mortar {
namespace {

using testing::HasSubstr;

constexpr uint64_t kWireBytes = 1000;

absl::StatusOr<NodesFile> Parse(const std::string& text) {
  return ParseNodes(text, "n.toml", 30, kWireBytes);
}

std::string Refusal(const std::string& text) {
  const auto nodes = Parse(text);
  EXPECT_EQ(nodes.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return Message(nodes.status());
}

// A node that lacks nothing, with `more` keys.
std::string Node(const std::string& name, const std::string& more = "") {
  return "[[node]]\nname = \"" + name + "\"\ngb_s = 10\nmemory = \"8G\"\n" + more;
}

TEST(NodesFile, ReadsSpeedMemoryWaysAndLayers) {
  const auto file = Parse("[edge]\nzone = \"home\"\nrtt_ms = 0.5\nmbit_s = 8\n" +
                          Node("a", "zone = \"cloud\"\nrtt_ms = 2\nmbit_s = 80\n") +
                          Node("b", "layers = \"2-15\"\nzone = \"cloud\"\n") +
                          "[[zone]]\nfrom = \"home\"\nto = \"cloud\"\nrtt_ms = 20\n"
                          "[[zone]]\nfrom = \"cloud\"\nto = \"cloud\"\nrtt_ms = 0.4\n"
                          "[[pair]]\nfrom = \"edge\"\nto = \"a\"\nrtt_ms = 7\n");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(file->edge_ns_per_byte.has_value()) << "to be measured";
  EXPECT_DOUBLE_EQ(file->edge_access_ns, 0.5e6 + 2 * 1e6) << "1,000 bytes take 1 ms, twice";
  ASSERT_EQ(file->nodes.size(), 2u);
  EXPECT_EQ(file->nodes[0].name, "a");
  EXPECT_DOUBLE_EQ(file->nodes[0].ns_per_byte, 0.1);
  EXPECT_EQ(file->nodes[0].memory_bytes, uint64_t{8} << 30);
  EXPECT_DOUBLE_EQ(file->nodes[0].access_ns, 2e6 + 2 * 1e5);
  EXPECT_TRUE(file->nodes[0].layers_only.empty());
  EXPECT_EQ(file->nodes[1].layers_only, (LayerRange{2, 15}));
  EXPECT_EQ(file->nodes[1].access_ns, 0);
  EXPECT_EQ(file->nodes[0].zone, file->nodes[1].zone);
  const auto home = static_cast<size_t>(file->edge_zone);
  const auto cloud = static_cast<size_t>(file->nodes[0].zone);
  EXPECT_EQ(file->zones[home][cloud], 10e6);
  EXPECT_EQ(file->zones[cloud][home], 10e6);
  EXPECT_EQ(file->zones[cloud][cloud], 0.2e6);
  EXPECT_EQ(file->zones[home][home], 0) << "not said";
  ASSERT_EQ(file->pairs.size(), 1u);
  EXPECT_EQ(file->pairs[0].a, kEdgeStop);
  EXPECT_EQ(file->pairs[0].b, 0);
  EXPECT_DOUBLE_EQ(file->pairs[0].ns, 3.5e6 + 1e6) << "the slower link's 8 Mbit/s";
}

TEST(NodesFile, TheEdgesSpeedMayBeGiven) {
  const auto file = Parse("[edge]\ngb_s = 4.0\n" + Node("a"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_DOUBLE_EQ(file->edge_ns_per_byte.value_or(0), 0.25);
  EXPECT_EQ(file->edge_zone, file->nodes[0].zone) << "one zone where none is named";
}

TEST(NodesFile, NamesTheLineOfAMistake) {
  EXPECT_THAT(Refusal("[[node]\n"), HasSubstr("n.toml:1: not valid TOML"));
  EXPECT_THAT(Refusal("[[?ode]]\n"), HasSubstr("n.toml:1: not valid TOML"));
  EXPECT_THAT(Refusal("# nothing\n"), HasSubstr("n.toml: there is no [[node]]"));
  EXPECT_THAT(Refusal("gb_s = 1\n"), HasSubstr("n.toml:1: gb_s stands outside any table"));
  EXPECT_THAT(Refusal(Node("a") + "[[nodes]]\n"), HasSubstr("n.toml:5: there is no [nodes]"));
  EXPECT_THAT(Refusal(Node("a", "speed = 3\n")),
              HasSubstr("n.toml:5: [node] has no key speed, only name, gb_s, memory"));
  EXPECT_THAT(Refusal(Node("a", "[node.x]\ny = 1\n")), HasSubstr("n.toml:5: x is not a value"));
  EXPECT_THAT(Refusal(Node("a") + "[edge]\n[[edge]]\n"), HasSubstr("not valid TOML"));
  EXPECT_THAT(Refusal("edge = [{}, {}]\n" + Node("a")), HasSubstr("a second [edge]"));
}

TEST(NodesFile, LettersBeyondAsciiStandInStringsAndCommentsAlone) {
  const auto file = Parse("\xEF\xBB\xBF# caf\u00e9 \"\n" +
                          Node("b\u00fcro \\\"\u00e9", "zone = '''\u00e9'\u00e9'''\n") +
                          Node("c", "zone = \"\"\"\n\u00e9\"\u00e9 \\\n  e\u00e9\"\"\"\n") +
                          "[edge]\nzone = ''\n");
  EXPECT_THAT(Message(file.status()), HasSubstr("n.toml:15: zone must be")) << "the rest was read";
  EXPECT_THAT(Refusal(Node("a") + "\u00e9 = 1\n"), HasSubstr("n.toml:5: not valid TOML"));
  EXPECT_THAT(Refusal(Node("a") + "x = \"\" \u00e9\n"), HasSubstr("n.toml:5: not valid TOML"));
  const auto hidden = Parse("[edge]\nzone = \"\"\" \\\n\n \u00e9\"\"\"\n" + Node("a"));
  EXPECT_THAT(Message(hidden.status()), HasSubstr("no [[zone]] says"))
      << "behind a line's end that is hidden";
}

TEST(NodesFile, RefusesValuesThatNoMachineHas) {
  const auto with = [](const std::string& key) {
    return Refusal("[[node]]\nname = \"a\"\n" + key + "\n");
  };
  EXPECT_THAT(with("gb_s = 0"), HasSubstr("n.toml:3: gb_s must be from 0.001 to 1000000"));
  EXPECT_THAT(with("gb_s = nan"), HasSubstr("gb_s must be from"));
  EXPECT_THAT(with("gb_s = \"10\""), HasSubstr("gb_s must be a number"));
  EXPECT_THAT(with("memory = \"8G\""), HasSubstr("n.toml:1: this [node] has no gb_s"));
  EXPECT_THAT(with("gb_s = 1"), HasSubstr("n.toml:1: this [node] has no memory"));
  EXPECT_THAT(with("gb_s = 1\nmemory = 8.5"), HasSubstr("n.toml:4: memory must be a size"));
  EXPECT_THAT(with("gb_s = 1\nmemory = -8"), HasSubstr("n.toml:4: memory: \"-8\" is no size"));
  EXPECT_THAT(Refusal(Node("a", "rtt_ms = -1\n")), HasSubstr("rtt_ms must be from 0 to 60000"));
  EXPECT_THAT(Refusal(Node("a", "mbit_s = inf\n")), HasSubstr("mbit_s must be from"));
  EXPECT_THAT(Refusal(Node("a", "layers = \"2-31\"\n")), HasSubstr("FIRST-END within 0-30"));
  EXPECT_THAT(Refusal(Node("a", "layers = 2\n")), HasSubstr("layers must be a string"));
  EXPECT_THAT(Refusal(Node("a", "zone = \"\"\n")), HasSubstr("zone must be a string of 1 to 64"));
  EXPECT_THAT(Refusal(Node(std::string(65, 'a'))), HasSubstr("name must be a string of 1 to 64"));
  EXPECT_THAT(Refusal(Node("a") + Node("a")), HasSubstr("n.toml:5: a second node is called a"));
  EXPECT_THAT(Refusal(Node("edge")), HasSubstr("a second node is called edge"));
}

TEST(NodesFile, RefusesWaysThatLeadNowhereOrAreNotSaid) {
  const std::string two = Node("a", "zone = \"x\"\n") + Node("b", "zone = \"y\"\n");
  const auto way = [](const std::string& kind, const std::string& from, const std::string& to) {
    return "[[" + kind + "]]\nfrom = \"" + from + "\"\nto = \"" + to + "\"\nrtt_ms = 1\n";
  };
  EXPECT_THAT(Refusal(two), HasSubstr("no [[zone]] says the rtt_ms between"));
  EXPECT_THAT(Refusal(two + way("zone", "x", "z")), HasSubstr("no node and no edge is in zone z"));
  EXPECT_THAT(Refusal(two + way("zone", "x", "y") + way("zone", "y", "x")),
              HasSubstr("n.toml:15: this way is said a second time"));
  EXPECT_THAT(Refusal(two + "[[zone]]\nfrom = \"x\"\n"), HasSubstr("this [zone] has no to"));
  EXPECT_THAT(Refusal(two + "[[zone]]\nfrom = \"x\"\nto = \"y\"\n"), HasSubstr("has no rtt_ms"));
  EXPECT_THAT(Refusal(Node("a") + way("pair", "a", "c")), HasSubstr("no node is called c"));
  EXPECT_THAT(Refusal(Node("a") + way("pair", "a", "a")), HasSubstr("are the same"));
  EXPECT_THAT(Refusal(Node("a") + way("pair", "a", "edge") + way("pair", "edge", "a")),
              HasSubstr("this pair is given a second time"));
}

TEST(NodesFile, BoundsNodesAndZones) {
  std::string many;
  for (size_t i = 0; i <= kPlannedNodesMax; ++i) many += Node("n" + std::to_string(i));
  EXPECT_THAT(Refusal(many), HasSubstr("more than 16384 nodes"));
  std::string zones;
  for (size_t i = 0; i <= kZoneNamesMax; ++i) {
    zones += Node("n" + std::to_string(i), "zone = \"z" + std::to_string(i) + "\"\n");
  }
  EXPECT_THAT(Refusal(zones), HasSubstr("more than 64 zones"));
}

TEST(ByteSize, IsANumberWithAUnit) {
  EXPECT_EQ(*ParseByteSize("4096", "-x"), 4096u);
  EXPECT_EQ(*ParseByteSize("8K", "-x"), 8192u);
  EXPECT_EQ(*ParseByteSize("1.5G", "-x"), uint64_t{3} << 29);
  EXPECT_EQ(*ParseByteSize("1024T", "-x"), kByteSizeMax);
  for (const char* text : {"", "G", "0", "-1G", "8GB", "8g", "1025T", "inf", "nan", "1e3", " 1"}) {
    const auto size = ParseByteSize(text, "-x");
    EXPECT_THAT(Message(size.status()), HasSubstr("-x: \"" + std::string(text) + "\" is no size"));
  }
}

TEST(LayerText, IsAHalfOpenRunWithinTheModel) {
  EXPECT_EQ(ParseLayerRange("2-15", 30), (LayerRange{2, 15}));
  for (const char* text :
       {"", "2", "-", "2-", "-2", "2-2", "3-2", "2-31", "a-b", "2-3-4", "99999999999-1"}) {
    EXPECT_FALSE(ParseLayerRange(text, 30).has_value()) << text;
  }
}

}  // namespace
}  // namespace mortar
