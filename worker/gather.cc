// How many of the frames of decode that wait for the engine run together, and whether they wait for
// more. Bits do not depend on it. Reading the weights is what a batch costs, so that sessions
// should share it; but while they compute here, what is before and behind this worker has nothing
// to do.
//
// With n sessions of one edge, a weight's reading w for a batch, c for each row, and a turn t from
// the end of a batch until its sessions are here again, all of them have a token in
//   w + nc + t        when they go together,
//   2w + nc           when halves take turns, and t hides behind the other half (t < w + nc/2).
// So those whose turn is shorter than w go together, and the others in halves. Left to chance, it
// is the first frame to come that runs alone, and all others behind it: the worst of both.
#include <algorithm>

#include "worker/state.h"

namespace mortar {
namespace {

bool HasDecode(const WorkerSession& session) {
  return !session.frames.empty() && session.frames.front().decode;
}

// Its newest token has left, and the next one is not here.
bool IsAway(const WorkerSession& session, Time now) {
  return session.used && !session.ending && session.decodes && session.frames.empty() &&
         !session.running && session.turn > Duration{} && now - session.left < kDecodeRecent;
}

// When a session that is away is late.
Time LateAt(const WorkerSession& session) { return session.left + session.turn + session.turn / 4; }

}  // namespace

Gathering GatheringOf(const WorkerState& s, Time now) {
  if (!s.decode_heard) return {};
  const Duration weights = s.decode_time.weights();
  // Not known yet: halves alone would never show it, since all of them are of one size.
  if (weights == Duration{}) return {};
  int here = 0, slow = 0, others = 0;  // sessions; slow: whose turn is longer than a token
  Time oldest = Time::max();           // of the frames of decode that wait
  Time until{};
  for (const WorkerSession& session : s.places) {
    const bool is_slow = session.turn > weights;
    if (HasDecode(session)) {
      ++here;
      oldest = std::min(oldest, session.frames.front().heard);
    } else if (!IsAway(session, now)) {
      continue;
    } else if (!is_slow) {
      if (LateAt(session) <= now) continue;
      until = std::max(until, LateAt(session));
    }
    ++(is_slow ? slow : others);
  }
  if (here == 0) return {};
  Gathering gathering{.frames_max = others + (slow + 1) / 2};
  if (here < gathering.frames_max) {
    until = std::max(
        until, std::min(*s.decode_heard + GatherGap(weights), oldest + weights / kGatherPart));
    if (until > now) gathering.until = until;
  }
  return gathering;
}

}  // namespace mortar
