// How a gap of a route, layers of one size in a row, is best filled by nodes of several zones.
//
// A token that comes from zone a and goes on to zone b passes through some zones between, one
// after the other. Which nodes of a zone take how many layers does not depend on the order of the
// zones, and the order not on the nodes: shares of each zone (shares.h) are put together for every
// set of zones, and each set is given its shortest way. Exact for ways that visit each zone once.
// No other way is better where a detour over zone b is longer than the direct way from a to c by
// b's own link at least: time(a, b) + time(b, c) >= time(a, c) + time(b, b).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "coordinator/shares.h"

namespace mortar {

// Zones of one plan: 2^8 sets of them are put together.
inline constexpr int kZonesMax = 8;

// [from][to]: one way, ns, for the rows of a token; from == to: between two nodes of the zone.
using ZoneTimes = std::vector<std::vector<double>>;

struct ZoneNodes {
  int zone = 0;  // row of ZoneTimes
  std::vector<ShareNode> nodes;
};

class GapTable {
 public:
  // At most kZonesMax zones; `times` outlives the table.
  GapTable(const std::vector<ZoneNodes>& zones, const ZoneTimes& times, int nodes_max,
           int layers_max);

  // Least times from a stop in zone `from` through exactly k nodes that host n layers to a stop in
  // zone `to`, links at both ends included; [nodes_max + 1, layers_max + 1], infinite where it is
  // impossible. k = 0 is the direct way, and has no layers.
  struct Between {
    int from = 0;
    int to = 0;
    std::vector<double> time;
    std::vector<uint16_t> set;  // of zones that are passed, as bits
  };
  Between Fill(int from, int to) const;
  size_t Index(int k, int n) const {
    return static_cast<size_t>(k) * static_cast<size_t>(layers_max_ + 1) + static_cast<size_t>(n);
  }
  // Who has how many, in the order of the way. Needs: the time there is finite.
  std::vector<NodeShare> Best(const Between& between, int k, int n) const;

 private:
  struct Cell {  // of the best share of the first zone of a set
    uint16_t nodes = 0;
    uint16_t layers = 0;
  };
  struct Set {
    std::vector<double> time;  // as Between::time, without links between zones
    std::vector<Cell> first;   // of its lowest zone; empty in the set of none
  };
  // The shortest way from `from` through the zones of `set`, ending in each: [set, zone], with the
  // zone before it.
  struct Ways {
    std::vector<double> time;
    std::vector<int> before;  // -1: none
  };
  Ways WaysFrom(int from) const;
  double Link(int from, int to) const {
    return (*times_)[static_cast<size_t>(from)][static_cast<size_t>(to)];
  }
  void PutTogether(size_t set);
  std::vector<size_t> Order(const Between& between, size_t set) const;

  const ZoneTimes* times_;
  int nodes_max_;
  int layers_max_;
  std::vector<int> zones_;  // their rows of ZoneTimes
  std::vector<ShareTable> tables_;
  std::vector<Set> sets_;  // [2^zones]
};

}  // namespace mortar
