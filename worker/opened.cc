#include "worker/opened.h"

namespace mortar {

void OpenedSessions::Add(const SessionId& session, const OpenedSession& opened) {
  const auto found = opened_.find(session);
  if (found != opened_.end()) {
    if (found->second.edge == opened.edge) found->second = opened;
    return;
  }
  const auto count = of_edge_.find(opened.edge);
  if (count != of_edge_.end() && count->second >= kOpenedPerEdgeMax) {
    Remove(*OldestOf(opened.edge));
  } else if (opened_.size() >= kOpenedMax) {
    Remove(*OldestOf(std::nullopt));
  }
  opened_.emplace(session, opened);
  ++of_edge_[opened.edge];
  order_.push_back(session);
}

const OpenedSession* OpenedSessions::Find(const SessionId& session) const {
  const auto found = opened_.find(session);
  return found == opened_.end() ? nullptr : &found->second;
}

void OpenedSessions::Remove(const SessionId& session) {
  const auto found = opened_.find(session);
  if (found == opened_.end()) return;
  const auto count = of_edge_.find(found->second.edge);
  if (--count->second == 0) of_edge_.erase(count);
  opened_.erase(found);
  for (size_t n = order_.size(); n > 0; --n) {  // once around the ring
    const SessionId id = order_.pop_front();
    if (id != session) order_.push_back(id);
  }
}

void OpenedSessions::RemoveOf(NodeId edge) {
  while (const std::optional<SessionId> oldest = OldestOf(edge)) Remove(*oldest);
}

std::optional<SessionId> OpenedSessions::OldestOf(std::optional<NodeId> edge) const {
  for (size_t i = 0; i < order_.size(); ++i) {
    const auto found = opened_.find(order_[i]);
    if (!edge || found->second.edge == *edge) return order_[i];
  }
  return std::nullopt;
}

}  // namespace mortar
