#include "worker/spent_steps.h"

#include <algorithm>

namespace mortar {

void SpentSteps::Add(const SessionId& session, uint64_t step, CalendarTime expires) {
  const auto [found, added] = spent_.try_emplace(session, Spent{.step = step, .expires = expires});
  if (!added) {
    found->second.step = std::max(found->second.step, step);
    return;  // a session has one grant
  }
  by_end_.emplace(expires, session);
  if (spent_.size() <= kSpentStepsMax) return;
  const auto [first, id] = *by_end_.begin();
  by_end_.erase(by_end_.begin());
  spent_.erase(id);
  forgotten_until_ = std::max(forgotten_until_.value_or(first), first);
}

std::optional<uint64_t> SpentSteps::Find(const SessionId& session, CalendarTime expires) const {
  const auto found = spent_.find(session);
  if (found != spent_.end()) return found->second.step;
  if (forgotten_until_ && expires <= *forgotten_until_) return std::nullopt;
  return 0;
}

}  // namespace mortar
