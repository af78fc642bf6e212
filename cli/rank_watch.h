// Who of an MPI job's workers has not come, or has gone, once rank 0 looks for them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/waited.h"

namespace mortar {

struct MissingRank {
  int rank = 0;
  bool had_joined = false;
  bool operator==(const MissingRank&) const = default;
};

class RankWatch {
 public:
  // The workers are ranks 1 to `workers`. Those that have not joined `join_max` after the first
  // look are missing.
  RankWatch(int workers, Duration join_max);

  // The lowest rank that is missing at `now`. `is_member`: whether the coordinator has it.
  std::optional<MissingRank> Look(Time now, const std::function<bool(int rank)>& is_member);

 private:
  const Duration join_max_;
  std::vector<bool> joined_;  // by rank
  Waited waited_;
};

}  // namespace mortar
