// What crossed between the nodes of an answer's route, and how long each of them computed for it.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "cli/reports.h"
#include "common/clock.h"
#include "edge/loop.h"
#include "protocol/messages.h"
#include "protocol/transport.h"

namespace mortar {

class RouteFigures {
 public:
  // A route was given; figures of one before it are forgotten.
  void Begin(const std::vector<Hop>& hops);
  // After the answer: turns the edge until every hop has said what it did, for a second at most. A
  // hop that says nothing leaves a gap.
  void Collect(Edge& edge, const Clock& clock, const std::function<void()>& turn);
  // Hop by hop, the edge's own first. `compute` is the edge's.
  std::vector<HopTraffic> Of(const Transport& edge, Duration compute) const;

 private:
  std::vector<Hop> hops_;
  std::vector<std::optional<Ended>> totals_;  // index for index
};

}  // namespace mortar
