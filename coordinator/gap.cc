#include "coordinator/gap.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "common/check.h"

namespace mortar {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

}  // namespace

GapTable::GapTable(const std::vector<ZoneNodes>& zones, const ZoneTimes& times, int nodes_max,
                   int layers_max)
    : times_(&times), nodes_max_(nodes_max), layers_max_(layers_max) {
  CHECK(zones.size() <= static_cast<size_t>(kZonesMax));
  for (const ZoneNodes& zone : zones) {
    std::vector<ShareNode> nodes = zone.nodes;
    // The link from one node of the zone to the next; the first one's is taken off with the set's.
    for (ShareNode& node : nodes) node.used_ns += Link(zone.zone, zone.zone);
    zones_.push_back(zone.zone);
    tables_.emplace_back(std::move(nodes), nodes_max, layers_max);
  }
  sets_.resize(size_t{1} << zones_.size());
  sets_[0].time.assign(Index(nodes_max_, layers_max_) + 1, kNever);
  sets_[0].time[0] = 0;
  for (size_t set = 1; set < sets_.size(); ++set) PutTogether(set);
}

// The lowest zone's shares beside the best of the other zones', for every way to divide nodes and
// layers between them. Each zone of a set has one node or more: a set with fewer is another set.
void GapTable::PutTogether(size_t set) {
  const auto first = static_cast<size_t>(std::countr_zero(set));
  const ShareTable& table = tables_[first];
  const std::vector<double>& rest = sets_[set & (set - 1)].time;
  const double first_link = Link(zones_[first], zones_[first]);
  Set& out = sets_[set];
  out.time.assign(rest.size(), kNever);
  out.first.resize(rest.size());
  for (int own = 1; own <= nodes_max_; ++own) {
    for (int m = 1; m <= layers_max_; ++m) {
      const double time = table.Time(own, m) - first_link;
      if (time == kNever) continue;
      for (int others = 0; own + others <= nodes_max_; ++others) {
        const double* rest_row = rest.data() + Index(others, 0);
        const size_t row = Index(own + others, m);
        for (int n = 0; n + m <= layers_max_; ++n) {
          const size_t cell = row + static_cast<size_t>(n);
          if (time + rest_row[n] >= out.time[cell]) continue;
          out.time[cell] = time + rest_row[n];
          out.first[cell] = {static_cast<uint16_t>(own), static_cast<uint16_t>(m)};
        }
      }
    }
  }
}

// Held and Karp: a way through a set that ends in a zone is the best way through the others,
// ending anywhere, and the link from there.
GapTable::Ways GapTable::WaysFrom(int from) const {
  const size_t n = zones_.size();
  Ways ways{std::vector<double>(sets_.size() * n, kNever), std::vector<int>(sets_.size() * n, -1)};
  for (size_t set = 1; set < sets_.size(); ++set) {
    for (size_t last = 0; last < n; ++last) {
      if ((set >> last & 1) == 0) continue;
      const size_t others = set & ~(size_t{1} << last);
      double& best = ways.time[set * n + last];
      if (others == 0) best = Link(from, zones_[last]);
      for (size_t before = 0; before < n; ++before) {
        if ((others >> before & 1) == 0) continue;
        const double time = ways.time[others * n + before] + Link(zones_[before], zones_[last]);
        if (time >= best) continue;
        best = time;
        ways.before[set * n + last] = static_cast<int>(before);
      }
    }
  }
  return ways;
}

GapTable::Between GapTable::Fill(int from, int to) const {
  const size_t n = zones_.size();
  const Ways ways = WaysFrom(from);
  Between between{from, to, sets_[0].time, std::vector<uint16_t>(sets_[0].time.size(), 0)};
  between.time[0] = Link(from, to);
  for (size_t set = 1; set < sets_.size(); ++set) {
    double way = kNever;
    for (size_t last = 0; last < n; ++last) {
      way = std::min(way, ways.time[set * n + last] + Link(zones_[last], to));
    }
    const std::vector<double>& time = sets_[set].time;
    for (size_t cell = 0; cell < time.size(); ++cell) {
      if (time[cell] + way >= between.time[cell]) continue;
      between.time[cell] = time[cell] + way;
      between.set[cell] = static_cast<uint16_t>(set);
    }
  }
  return between;
}

// The zones of a set as the shortest way passes them.
std::vector<size_t> GapTable::Order(const Between& between, size_t set) const {
  const size_t zones = zones_.size();
  const Ways ways = WaysFrom(between.from);
  std::vector<size_t> order;
  double best = kNever;
  for (size_t zone = 0; zone < zones; ++zone) {
    const double time = ways.time[set * zones + zone] + Link(zones_[zone], between.to);
    if (time >= best) continue;
    best = time;
    order = {zone};
  }
  while (!order.empty()) {
    const size_t last = order.back();
    const int before = ways.before[set * zones + last];
    set &= ~(size_t{1} << last);
    if (before < 0) break;
    order.push_back(static_cast<size_t>(before));
  }
  std::ranges::reverse(order);
  return order;
}

std::vector<NodeShare> GapTable::Best(const Between& between, int k, int n) const {
  CHECK(between.time[Index(k, n)] < kNever);
  const size_t set = between.set[Index(k, n)];
  std::vector<std::vector<NodeShare>> of_zone(zones_.size());
  for (size_t rest = set; rest != 0; rest &= rest - 1) {
    const auto first = static_cast<size_t>(std::countr_zero(rest));
    const Cell cell = sets_[rest].first[Index(k, n)];
    of_zone[first] = tables_[first].Best(cell.nodes, cell.layers);
    k -= cell.nodes;
    n -= cell.layers;
  }
  const std::vector<size_t> order = Order(between, set);
  std::vector<NodeShare> shares;
  for (const size_t zone : order) {
    std::vector<NodeShare>& own = of_zone[zone];
    // Within a zone any order is as good; people expect the one that they gave.
    std::ranges::sort(own, {}, &NodeShare::node);
    shares.insert(shares.end(), own.begin(), own.end());
  }
  return shares;
}

}  // namespace mortar
