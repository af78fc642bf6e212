// Who sends bricks to those that lack some.
#include <algorithm>

#include "coordinator/state.h"

namespace mortar {

Sources SourcesFor(const CoordinatorState& s, NodeId asker) {
  Sources sources;
  if (!s.model) return sources;
  sources.model = *s.model;
  std::vector<Introduction> edges;
  for (const Member& member : s.members) {
    if (!member.status || !member.status->outline || member.node == asker) continue;
    // All that is fetched is of one outline: whoever joined first and has one says which.
    if (!sources.outline) sources.outline = member.status->outline;
    if (member.status->outline != sources.outline) continue;
    (member.role == Role::kEdge ? edges : sources.nodes)
        .push_back({.node = member.node, .endpoint = member.endpoint, .key = member.key});
  }
  // Each asker begins with another one; a person's device is asked when no worker has it.
  for (std::vector<Introduction>* nodes : {&sources.nodes, &edges}) {
    if (nodes->empty()) continue;
    const auto first = static_cast<std::ptrdiff_t>(asker.value % nodes->size());
    std::ranges::rotate(*nodes, nodes->begin() + first);
  }
  // Some places are the edges': workers that fetch themselves may lack a brick, an edge has all.
  constexpr size_t kEdgesMin = kBrickSourcesMax / 4;
  const size_t n_edges = std::min(edges.size(), kEdgesMin);
  sources.nodes.resize(std::min(sources.nodes.size(), kBrickSourcesMax - n_edges));
  edges.resize(std::min(edges.size(), kBrickSourcesMax - sources.nodes.size()));
  sources.nodes.insert(sources.nodes.end(), edges.begin(), edges.end());
  return sources;
}

}  // namespace mortar
