// Which steps of sealed sessions this node has used: a step is the nonce of what it seals under a
// session's key, and must be used once, also when the session ends here and its edge, or somebody
// who kept what the edge said, opens it again.
//
// It remembers kSpentStepsMax sessions. Of more it forgets the grant that ends first, and takes
// from then on no session whose grant ends as early or earlier, unless it remembers it: an edge
// that comes back so late needs another route. A grant that is new ends later than all those, so
// that nobody can keep new sessions out by ending many. No clock is asked, so none can be set back.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "common/clock.h"
#include "protocol/ids.h"

namespace mortar {

// Some 150 bytes each. An hour's sessions, which is as long as a grant lives, of a worker that gets
// one a second; with more, edges whose link was lost are sent to another route some minutes
// earlier.
inline constexpr size_t kSpentStepsMax = 4096;

// A value; not thread-safe.
class SpentSteps {
 public:
  // The session has ended here. Steps up to `step` are spent, and its grant ends at `expires`.
  void Add(const SessionId& session, uint64_t step, CalendarTime expires);
  // Steps up to which a session with such a grant may use none; 0: it may use all. Absent: nobody
  // knows any more.
  std::optional<uint64_t> Find(const SessionId& session, CalendarTime expires) const;
  size_t size() const { return spent_.size(); }

 private:
  struct Spent {
    uint64_t step = 0;
    CalendarTime expires{};
  };
  std::unordered_map<SessionId, Spent, IdHash> spent_;
  std::set<std::pair<CalendarTime, SessionId>> by_end_;  // the same sessions
  std::optional<CalendarTime> forgotten_until_;          // grants up to this were forgotten
};

}  // namespace mortar
