#include "cli/route_figures.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace mortar {
namespace {

// They are for people: a hop whose figures are lost must not hold an answer back for longer.
constexpr Duration kTotalsWaitMax = std::chrono::seconds(1);

}  // namespace

void RouteFigures::Begin(const std::vector<Hop>& hops) {
  hops_ = hops;
  totals_.assign(hops.size(), {});
}

void RouteFigures::Collect(Edge& edge, const Clock& clock, const std::function<void()>& turn) {
  const Time start = clock.Now();
  size_t came = 0;
  while (came < hops_.size() && clock.Now() - start < kTotalsWaitMax) {
    turn();
    while (std::optional<EdgeOutput> output = edge.PollOutput()) {
      const auto* said = std::get_if<HopTotals>(&output->what);
      if (said == nullptr) continue;
      const auto hop = std::ranges::find(hops_, said->hop, &Hop::node);
      if (hop == hops_.end()) continue;
      std::optional<Ended>& total = totals_[static_cast<size_t>(hop - hops_.begin())];
      if (!total) ++came;
      total = said->sent;
    }
  }
}

std::vector<HopTraffic> RouteFigures::Of(const Transport& edge, Duration compute) const {
  std::vector<HopTraffic> traffic;
  if (hops_.empty()) return traffic;  // nothing leaves an edge that keeps all layers
  HopFigures own{.compute = compute};
  for (const LinkCounters& link : edge.Links()) {
    if (link.to != hops_.front().node) continue;
    own.messages = link.frames;
    own.bytes = link.frame_bytes;
    own.rows = link.rows;
  }
  traffic.push_back({.from = "edge", .to = hops_.front().name, .figures = own});
  for (size_t i = 0; i < hops_.size(); ++i) {
    const bool last = i + 1 == hops_.size();
    HopTraffic hop{.from = hops_[i].name, .to = last ? "edge" : hops_[i + 1].name};
    if (const std::optional<Ended>& total = totals_[i]; total) {
      hop.figures = {.messages = total->frames,
                     .bytes = total->bytes,
                     .rows = total->rows,
                     .compute = std::chrono::nanoseconds(total->compute_ns)};
    }
    traffic.push_back(std::move(hop));
  }
  return traffic;
}

}  // namespace mortar
