#include "coordinator/adopt.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace mortar {
namespace {

// Where a coordinator's own part of a placement's id begins: below it is a count.
constexpr int kOwnBits = 56;

WorkerOffer OfferOf(const Member& m, LayerRange only) {
  return {.node = m.node, .name = m.name, .layers_only = only, .bricks = m.status->bricks};
}

// What a worker serves by its own word; empty: nothing.
LayerRange ServedBy(const Member& m) {
  if (m.role != Role::kWorker || !m.status || !m.load_failure.ok()) return {};
  return m.status->phase == LoadPhase::kReady ? m.status->hosted : LayerRange{};
}

bool SameDigests(const PlacedHop& a, const PlacedHop& b) {
  return std::ranges::equal(a.bricks, b.bricks, {}, &LayerBrick::digest, &LayerBrick::digest);
}

size_t HostCount(const PlacedHop& hop) { return 1 + hop.replicas.size(); }

// What is served, with its hosts in joining order. Of bricks that differ those that most have: one
// that names others takes nothing from them. Who serves what it does not offer is not heeded.
std::map<LayerRange, PlacedHop> ServedStops(const CoordinatorState& s, Whose whose) {
  std::map<LayerRange, std::vector<PlacedHop>> all;
  for (const Member& m : s.members) {
    const LayerRange layers = ServedBy(m);
    if (layers.empty() || (whose == Whose::kOwn && !Obeys(s, m))) continue;
    auto hop = PlaceHop(OfferOf(m, layers), layers, "it serves them");
    if (!hop.ok()) continue;
    std::vector<PlacedHop>& kinds = all[layers];
    const auto same =
        std::ranges::find_if(kinds, [&](const PlacedHop& k) { return SameDigests(k, *hop); });
    if (same == kinds.end()) {
      kinds.push_back(*std::move(hop));
    } else if (HostCount(*same) < static_cast<size_t>(kStopHostsMax)) {
      same->replicas.push_back({.node = m.node, .name = m.name});
    }
  }
  std::map<LayerRange, PlacedHop> stops;
  for (auto& [layers, kinds] : all) {
    stops.emplace(layers, std::move(*std::ranges::max_element(kinds, {}, HostCount)));
  }
  return stops;
}

// Those that follow each other from `begin` to `end` and have the most hosts, of as many the fewest
// stops; empty: there is a gap. One host that says it serves what several do between them never
// stands for them.
std::vector<LayerRange> ChainOf(const std::map<LayerRange, PlacedHop>& stops, int begin, int end) {
  struct Way {
    size_t hosts = 0;
    std::vector<LayerRange> stops{};
  };
  // [stops]: by where they end. Stops ascend by where they begin: when one is looked at, all ways
  // to its begin are known.
  std::vector<std::map<int, Way>> ways(kHopsMax + 1);
  ways[0][begin] = {};
  for (const auto& [layers, hop] : stops) {
    if (layers.end > end) continue;
    for (size_t n = 0; n < kHopsMax; ++n) {
      const auto found = ways[n].find(layers.begin);
      if (found == ways[n].end()) continue;
      const size_t hosts = found->second.hosts + HostCount(hop);
      Way& way = ways[n + 1][layers.end];
      if (way.hosts >= hosts) continue;
      way = {hosts, found->second.stops};
      way.stops.push_back(layers);
    }
  }
  const Way* best = nullptr;
  for (const std::map<int, Way>& at : ways) {
    const auto whole = at.find(end);
    if (whole == at.end()) continue;
    if (best == nullptr || whole->second.hosts > best->hosts) best = &whole->second;
  }
  return best == nullptr ? std::vector<LayerRange>{} : best->stops;
}

// Who begins to serve a stop of what was adopted is one more host of it.
void AddHost(CoordinatorState& s, const Member& m) {
  const auto hop = std::ranges::find(s.placement->hops, ServedBy(m), &PlacedHop::layers);
  if (hop == s.placement->hops.end() || HostCount(*hop) >= static_cast<size_t>(kStopHostsMax)) {
    return;
  }
  const auto its = PlaceHop(OfferOf(m, hop->layers), hop->layers, "");
  if (!its.ok() || !SameDigests(*its, *hop) || Decides(s)) return;
  hop->replicas.push_back({.node = m.node, .name = m.name});
}

// Workers that obey this coordinator, for so long at least, and those that obey another.
struct Votes {
  int own = 0;
  int others = 0;
};
Votes VotesOf(const CoordinatorState& s, Time until) {
  Votes votes;
  for (const Member& m : s.members) {
    if (m.role != Role::kWorker || !m.status) continue;
    if (!Obeys(s, m)) {
      ++votes.others;
    } else if (m.obeys_since <= until) {
      ++votes.own;
    }
  }
  return votes;
}

bool IsMost(const CoordinatorState& s, Votes votes) {
  return votes.own > votes.others ||
         (votes.own == votes.others && (votes.own == 0 || CoordinatorIndex(s.options.self) == 0));
}

}  // namespace

bool Obeys(const CoordinatorState& s, const Member& worker) {
  const NodeId obeyed = worker.status->obeys;
  return obeyed == kNoNode || obeyed == s.options.self;
}

bool ObeyedByAll(const CoordinatorState& s) {
  return std::ranges::all_of(s.members, [&](const Member& m) {
    return m.role != Role::kWorker || !m.status || Obeys(s, m);
  });
}

bool Decides(const CoordinatorState& s) { return IsMost(s, VotesOf(s, Time::max())); }

bool HasDecidedForLong(const CoordinatorState& s, Time now) {
  return IsMost(s, VotesOf(s, now - kObeyedMin - kCoordinatorSettled));
}

std::optional<LayerRange> MayHost(const CoordinatorState& s, const Member& m, Whose whose) {
  if (m.role != Role::kWorker || !m.status || !m.load_failure.ok()) return std::nullopt;
  if (Obeys(s, m)) return m.status->layers_only;
  const LayerRange served = ServedBy(m);
  if (served.empty() || whose == Whose::kOwn) return std::nullopt;
  const bool placed = s.placement && LayersOf(*s.placement, m.node) == served;
  if (whose == Whose::kPlaced && !placed) return std::nullopt;
  return served;
}

std::optional<LayerPlan> ServedPlan(const CoordinatorState& s, LayerCut cut, Whose whose) {
  const std::map<LayerRange, PlacedHop> stops = ServedStops(s, whose);
  LayerPlan plan{.hops = {}, .notes = {}, .why = "as the workers serve it already"};
  for (const LayerRange layers : ChainOf(stops, cut.front, s.model->n_layers - cut.back)) {
    plan.hops.push_back(stops.at(layers));
  }
  if (plan.hops.empty() || !CheckBricksFit(plan).ok()) return std::nullopt;
  return plan;
}

bool IsMostlyOwn(const CoordinatorState& s, const LayerPlan& plan) {
  int own = 0, others = 0;
  for (const PlacedHop& hop : plan.hops) {
    for (const PlacedHost& host : HostsOf(hop)) {
      ++(Obeys(s, *FindMember(s, host.node)) ? own : others);
    }
  }
  return own >= others;
}

bool EachStopHas(const CoordinatorState& s, const LayerPlan& plan, Whose whose) {
  return std::ranges::all_of(plan.hops, [&](const PlacedHop& hop) {
    return std::ranges::any_of(HostsOf(hop), [&](const PlacedHost& host) {
      const Member& m = *FindMember(s, host.node);
      return Obeys(s, m) || (whose != Whose::kOwn && ServedBy(m) == hop.layers);
    });
  });
}

void NoteServed(CoordinatorState& s, Time now, Member& worker,
                const std::optional<NodeStatus>& before) {
  if (worker.role != Role::kWorker) return;
  const NodeStatus& status = *worker.status;
  if (!before || before->obeys != status.obeys) worker.obeys_since = now;
  const bool obeys = Obeys(s, worker);
  const bool was_others = before && before->obeys != kNoNode && before->obeys != s.options.self;
  const LayerRange share = s.placement ? LayersOf(*s.placement, worker.node) : LayerRange{};
  // What a worker serves that obeys this one is what it was adopted with, or it is told to.
  if (obeys || share.empty() || share == ServedBy(worker)) {
    worker.unserved_since.reset();
  } else if (!worker.unserved_since) {
    worker.unserved_since = now;
  }
  if (obeys && !was_others) return;
  const bool same = before && before->obeys == status.obeys && before->hosted == status.hosted &&
                    before->phase == status.phase;
  if (same) return;
  s.placement_problem = s.load_problem = absl::OkStatus();
  s.replanning.facts_changed = true;
  auto& better = s.replanning.better;
  if (better && !LayersOf(*better, worker.node).empty()) better.reset();
  if (s.placement && !obeys && share.empty()) AddHost(s, worker);
}

void DropUnserved(CoordinatorState& s, Time now) {
  for (Member& m : s.members) {
    if (!m.unserved_since || now - *m.unserved_since <= kStatusAgeMax) continue;
    m.unserved_since.reset();
    if (s.placement && !DropHost(*s.placement, m.node)) s.placement.reset();
  }
}

uint64_t NextPlacementId(const CoordinatorState& s) {
  const uint64_t own = static_cast<uint64_t>(CoordinatorIndex(s.options.self)) << kOwnBits;
  return std::max(s.placement_id, own) + 1;
}

}  // namespace mortar
