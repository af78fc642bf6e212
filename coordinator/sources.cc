// Who sends bricks to those that lack some.
#include <algorithm>
#include <map>
#include <tuple>

#include "coordinator/state.h"

namespace mortar {
namespace {

// All that is fetched is of one outline: what most members name, so that one that names another
// stops nobody. Of two that are named as often, the one of more workers, which have looked at what
// it says of their bricks; then the one that was named first. Null: nobody names any.
const Digest* OutlineOfMost(const CoordinatorState& s) {
  struct Votes {
    int members = 0;
    int workers = 0;
    size_t first = 0;
  };
  std::map<Digest, Votes> votes;
  for (size_t i = 0; i < s.members.size(); ++i) {
    const Member& member = s.members[i];
    if (!member.status || !member.status->outline) continue;
    Votes& of = votes.try_emplace(*member.status->outline, Votes{.first = i}).first->second;
    ++of.members;
    of.workers += member.role == Role::kWorker ? 1 : 0;
  }
  const auto most = std::ranges::max_element(votes, {}, [](const auto& entry) {
    const Votes& of = entry.second;
    return std::tuple(of.members, of.workers, -static_cast<std::ptrdiff_t>(of.first));
  });
  return most == votes.end() ? nullptr : &*s.members[most->second.first].status->outline;
}

// `count` of them, beginning with another one for each asker.
void Introduce(const std::vector<const Member*>& members, NodeId asker, size_t count,
               std::vector<Introduction>& out) {
  for (size_t i = 0; i < count; ++i) {
    const Member& member = *members[(asker.value % members.size() + i) % members.size()];
    out.push_back({.node = member.node, .endpoint = member.endpoint, .key = member.key});
  }
}

}  // namespace

Sources SourcesFor(const CoordinatorState& s, NodeId asker) {
  Sources sources;
  if (!s.model) return sources;
  sources.model = *s.model;
  const Digest* outline = OutlineOfMost(s);
  if (outline == nullptr) return sources;
  sources.outline = *outline;
  std::vector<const Member*> workers, edges;
  for (const Member& member : s.members) {
    if (!member.status || member.status->outline != sources.outline) continue;
    if (member.node != asker) (member.role == Role::kEdge ? edges : workers).push_back(&member);
  }
  // A person's device is asked when no worker has it. Some places are the edges' all the same:
  // workers that fetch themselves may lack a brick, an edge has all.
  constexpr size_t kEdgesMin = kBrickSourcesMax / 4;
  const size_t n_workers =
      std::min(workers.size(), kBrickSourcesMax - std::min(edges.size(), kEdgesMin));
  const size_t n_edges = std::min(edges.size(), kBrickSourcesMax - n_workers);
  Introduce(workers, asker, n_workers, sources.nodes);
  Introduce(edges, asker, n_edges, sources.nodes);
  return sources;
}

}  // namespace mortar
