#include "cli/rank_watch.h"

namespace mortar {

RankWatch::RankWatch(int workers, Duration join_max)
    : join_max_(join_max), joined_(static_cast<size_t>(workers) + 1) {}

std::optional<MissingRank> RankWatch::Look(Time now,
                                           const std::function<bool(int rank)>& is_member) {
  const bool late = waited_.At(now) > join_max_;
  for (size_t i = 1; i < joined_.size(); ++i) {
    const int rank = static_cast<int>(i);
    const bool there = is_member(rank);
    if (!there && (joined_[i] || late)) return MissingRank{.rank = rank, .had_joined = joined_[i]};
    joined_[i] = there;
  }
  return std::nullopt;
}

}  // namespace mortar
