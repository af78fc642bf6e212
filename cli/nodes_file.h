// The file of `mortar plan --nodes`: machines that one has measured, or means to buy.
//
//   [edge]             # all keys may be left out; without gb_s this machine is measured
//   gb_s = 14.5        # 10^9 bytes of weights a second in decode: gb_s of `mortar bench`'s tg128
//   zone = "home"
//   rtt_ms = 0.5       # to its relay or the middle of its zone, and back
//   mbit_s = 100       # of its own link; left out: as fast as may be
//
//   [[node]]           # name, gb_s and memory are needed
//   name = "rack-1"
//   gb_s = 60
//   memory = "32G"     # for weights and KV
//   zone = "cloud"     # left out: "default"
//   rtt_ms = 0.1
//   mbit_s = 1000
//   layers = "2-15"    # hosts these alone
//
//   [[zone]]           # a round trip between two zones, or within one
//   from = "home"
//   to = "cloud"
//   rtt_ms = 24
//
//   [[pair]]           # a round trip measured between two nodes, or a node and "edge"
//   from = "edge"
//   to = "rack-1"
//   rtt_ms = 19
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "coordinator/planner.h"

namespace mortar {

// Bounds of a file: more than the 10,000 nodes that are planned in a second, in any spelling.
inline constexpr size_t kNodesFileBytesMax = size_t{8} << 20;
inline constexpr size_t kPlannedNodesMax = 16'384;
inline constexpr size_t kZoneNamesMax = 64;
inline constexpr size_t kPairsMax = 4'096;

// The parts of a PlannerInput that the file speaks of.
struct NodesFile {
  std::optional<double> edge_ns_per_byte;
  int edge_zone = 0;
  double edge_access_ns = 0;
  std::vector<PlannerNode> nodes;
  ZoneTimes zones;
  std::vector<PairTime> pairs;
};

// `wire_bytes`: of a token's rows and envelope, on every link. InvalidArgument begins with `path`
// and the line: an unknown table or key, one given twice or left out, a value of a wrong type or
// out of bounds, a node or a zone that nothing speaks of.
absl::StatusOr<NodesFile> ParseNodes(const std::string& text, const std::string& path, int n_layers,
                                     uint64_t wire_bytes);

}  // namespace mortar
