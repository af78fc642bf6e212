#include "coordinator/placement.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace mortar {
namespace {

struct Assignment {
  const WorkerOffer* worker;
  LayerRange layers;
  std::string why;
};

std::string Layers(int n) { return std::to_string(n) + (n == 1 ? " layer" : " layers"); }

bool Inside(LayerRange inner, LayerRange outer) {
  return !inner.empty() && inner.begin >= outer.begin && inner.end <= outer.end;
}

absl::StatusOr<std::vector<Assignment>> PlaceBySizes(LayerRange middle,
                                                     const std::vector<int>& sizes,
                                                     const std::vector<WorkerOffer>& workers) {
  if (sizes.size() > workers.size()) {
    return FailedPrecondition(std::to_string(sizes.size()) + " sizes are given for " +
                              std::to_string(workers.size()) + " workers");
  }
  const int total = std::accumulate(sizes.begin(), sizes.end(), 0);
  if (std::any_of(sizes.begin(), sizes.end(), [](int n) { return n < 1; }) ||
      total != middle.size()) {
    return FailedPrecondition("the sizes given must be 1 or more and add up to the " +
                              Layers(middle.size()) + " between the edge's, not " +
                              std::to_string(total));
  }
  std::vector<Assignment> out;
  int begin = middle.begin;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const LayerRange layers{begin, begin + sizes[i]};
    out.push_back({&workers[i], layers, Layers(sizes[i]) + ": the size given for this worker"});
    begin = layers.end;
  }
  return out;
}

// Workers that host fixed layers, first come first served; the same layers again are a spare.
absl::StatusOr<std::vector<Assignment>> PlaceFixed(LayerRange middle,
                                                   const std::vector<WorkerOffer>& workers) {
  std::vector<Assignment> out;
  for (const WorkerOffer& worker : workers) {
    const LayerRange want = worker.layers_only;
    if (want.empty()) continue;
    if (want.begin < middle.begin || want.end > middle.end) {
      return FailedPrecondition("worker " + worker.name + " hosts only " + ToString(want) +
                                ", outside " + ToString(middle) + " between the edge's layers");
    }
    const auto same = [&](const Assignment& a) { return a.layers == want; };
    if (std::any_of(out.begin(), out.end(), same)) continue;
    for (const Assignment& a : out) {
      if (want.begin < a.layers.end && a.layers.begin < want.end) {
        return FailedPrecondition("workers " + a.worker->name + " and " + worker.name +
                                  " host overlapping layers " + ToString(a.layers) + " and " +
                                  ToString(want));
      }
    }
    out.push_back({&worker, want, Layers(want.size()) + ": the worker hosts only these"});
  }
  std::sort(out.begin(), out.end(),
            [](const Assignment& a, const Assignment& b) { return a.layers < b.layers; });
  return out;
}

std::vector<LayerRange> GapsBetween(LayerRange middle, const std::vector<Assignment>& fixed) {
  std::vector<LayerRange> gaps;
  int begin = middle.begin;
  for (const Assignment& a : fixed) {
    if (a.layers.begin > begin) gaps.push_back({begin, a.layers.begin});
    begin = a.layers.end;
  }
  if (begin < middle.end) gaps.push_back({begin, middle.end});
  return gaps;
}

absl::StatusOr<std::vector<Assignment>> PlaceEvenly(LayerRange middle,
                                                    const std::vector<WorkerOffer>& workers) {
  ASSIGN_OR_RETURN(std::vector<Assignment> out, PlaceFixed(middle, workers));
  const std::vector<LayerRange> gaps = GapsBetween(middle, out);
  std::vector<const WorkerOffer*> free;
  for (const WorkerOffer& worker : workers) {
    if (worker.layers_only.empty()) free.push_back(&worker);
  }
  if (gaps.size() > free.size()) {
    return Unavailable("no worker hosts layers " + ToString(gaps[free.size()]));
  }
  // Several gaps only arise between fixed ranges; each is one worker's, and a single gap is
  // shared by all who are free, as far as the route has room for them: the rest are spares.
  const int room = std::max(1, kHopsMax - static_cast<int>(out.size()));
  const int sharing = std::min(room, static_cast<int>(free.size()));
  size_t next = 0;
  for (const LayerRange gap : gaps) {
    const int sharers = gaps.size() == 1 ? sharing : 1;
    int begin = gap.begin;
    for (const int size : EvenSizes(gap.size(), sharers)) {
      if (size == 0) continue;
      out.push_back({free[next++],
                     {begin, begin + size},
                     Layers(size) + ": an even share of " + std::to_string(gap.size())});
      begin += size;
    }
  }
  std::sort(out.begin(), out.end(),
            [](const Assignment& a, const Assignment& b) { return a.layers < b.layers; });
  return out;
}

}  // namespace

absl::StatusOr<PlacedHop> PlaceHop(const WorkerOffer& worker, LayerRange layers, std::string why) {
  PlacedHop hop{.node = worker.node, .name = worker.name, .layers = layers, .why = std::move(why)};
  std::vector<LayerBrick> inside;
  for (const LayerBrick& brick : worker.bricks) {
    if (!Inside(brick.layers, layers)) continue;
    if (brick.sensitivity == Sensitivity::kPrivate) {
      return FailedPrecondition("layers " + ToString(brick.layers) +
                                " are private: they stay on their owner's edge");
    }
    inside.push_back(brick);
  }
  std::ranges::sort(inside, std::less{}, &LayerBrick::layers);
  int covered = layers.begin;
  for (const LayerBrick& brick : inside) {
    if (brick.layers.begin != covered) continue;  // of a layer that another brick has brought
    covered = brick.layers.end;
    hop.weight_bytes += brick.weight_bytes;
    hop.bricks.push_back(brick);
  }
  if (covered != layers.end) {
    return FailedPrecondition("worker " + hop.name + " has no brick for layer " +
                              std::to_string(covered) + " of its share " + ToString(layers));
  }
  return hop;
}

absl::Status CheckBricksFit(const LayerPlan& plan) {
  size_t n_bricks = 0;
  for (const PlacedHop& hop : plan.hops) n_bricks += hop.bricks.size();
  // So every Route and Placement fits a message of 512 KiB, whatever the workers offer: 4,096
  // digests of 40 bytes with their pointers are 160 KiB, 4,096 bricks of 72 bytes are 288 KiB,
  // eight hops' names and endpoints are less than 4 KiB, those of 31 next ones less than 11.
  if (n_bricks <= kBricksMax) return absl::OkStatus();
  return FailedPrecondition("the route has " + std::to_string(n_bricks) + " bricks, at most " +
                            std::to_string(kBricksMax) + " are allowed");
}

std::vector<PlacedHost> HostsOf(const PlacedHop& hop) {
  std::vector<PlacedHost> hosts{{hop.node, hop.name, hop.token_ns}};
  hosts.insert(hosts.end(), hop.replicas.begin(), hop.replicas.end());
  return hosts;
}

LayerRange LayersOf(const LayerPlan& plan, NodeId node) {
  for (const PlacedHop& hop : plan.hops) {
    if (hop.node == node) return hop.layers;
    for (const PlacedHost& host : hop.replicas) {
      if (host.node == node) return hop.layers;
    }
  }
  return {};
}

bool DropHost(LayerPlan& plan, NodeId node) {
  for (PlacedHop& hop : plan.hops) {
    std::erase_if(hop.replicas, [&](const PlacedHost& host) { return host.node == node; });
    if (hop.node != node) continue;
    if (hop.replicas.empty()) return false;
    PlacedHost& first = hop.replicas.front();
    hop.node = first.node;
    hop.name = std::move(first.name);
    hop.token_ns = first.token_ns;
    hop.replicas.erase(hop.replicas.begin());
  }
  return true;
}

std::vector<int> EvenSizes(int n_layers, int workers) {
  std::vector<int> sizes;
  for (int i = 0; i < workers; ++i) {
    sizes.push_back(n_layers / workers + (i < n_layers % workers ? 1 : 0));
  }
  return sizes;
}

absl::StatusOr<LayerPlan> PlaceLayers(int n_layers, LayerCut cut, const std::vector<int>& sizes,
                                      const std::vector<WorkerOffer>& workers) {
  if (cut.front < 0 || cut.back < 0 || cut.front > n_layers - cut.back) {
    return FailedPrecondition("the edge cannot keep " + std::to_string(cut.front) + " + " +
                              std::to_string(cut.back) + " of " + Layers(n_layers));
  }
  const LayerRange middle{cut.front, n_layers - cut.back};
  LayerPlan plan;
  if (!middle.empty()) {
    ASSIGN_OR_RETURN(
        const std::vector<Assignment> assignments,
        sizes.empty() ? PlaceEvenly(middle, workers) : PlaceBySizes(middle, sizes, workers));
    if (assignments.size() > static_cast<size_t>(kHopsMax)) {
      return FailedPrecondition(std::to_string(assignments.size()) + " workers in a row, at most " +
                                std::to_string(kHopsMax) + " are allowed");
    }
    for (const Assignment& a : assignments) {
      ASSIGN_OR_RETURN(PlacedHop hop, PlaceHop(*a.worker, a.layers, a.why));
      plan.hops.push_back(std::move(hop));
    }
    RETURN_IF_ERROR(CheckBricksFit(plan));
  }
  for (const WorkerOffer& worker : workers) {
    const auto hosts = [&](const PlacedHop& hop) { return hop.node == worker.node; };
    if (std::any_of(plan.hops.begin(), plan.hops.end(), hosts)) continue;
    plan.notes.push_back("worker " + worker.name + " is spare: every layer is hosted");
  }
  return plan;
}

}  // namespace mortar
