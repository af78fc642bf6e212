// When an edge takes over the layers between its own, "the middle", because no route leads through
// them any more: the pure part.
//
// The edge has the model's file. A session that got no route for a while, or gave up on all that it
// got, goes on alone: its rows pass front, middle and back here, from position 0 of its token log.
// It stays so until its end; sessions that begin later ask for a route first, as always. All of
// them share one middle, which is loaded when the first one needs it and goes when none has for a
// while. Every cut gives the same bits, so that nobody sees in the tokens who computed them.
#pragma once

#include <chrono>
#include <string>

#include "common/clock.h"
#include "common/status.h"

namespace mortar {

struct EdgeState;
struct EdgeSlot;
struct EdgePlan;
struct MiddleLoaded;

// How long a session waits for a route before the middle is loaded for it: a replica is found, and
// a coordinator restarted, in less, and gigabytes should not be read for what mends itself.
inline constexpr Duration kTakeOverAfter = std::chrono::seconds(5);
// The same once the middle is here: a coordinator that has a route gives it within a round trip,
// and one whose placement has just changed within the half second of a status.
inline constexpr Duration kTakeOverLoadedAfter = std::chrono::seconds(1);
// A load that takes longer waits for a disk that hangs: 10 GB at 30 MB/s come in less. The session
// then ends.
inline constexpr Duration kMiddleLoadMax = std::chrono::minutes(6);
// A load that failed is not tried again for so long: what was too large for the memory, or cannot
// be read, mostly is so then too, and each trial may read gigabytes.
inline constexpr Duration kMiddleRetryAfter = std::chrono::seconds(30);
// The middle's memory is given back when no session has used it for so long. Between two requests
// of one conversation a person reads and types.
inline constexpr Duration kMiddleIdleMax = std::chrono::minutes(2);

enum class MiddlePhase { kAbsent, kLoading, kLoaded, kUnloading };

struct Middle {
  MiddlePhase phase = MiddlePhase::kAbsent;
  Time loading_since{};
  Time used{};           // last by a session, or since it was loaded
  absl::Status refusal;  // why the last load failed
  Time refused{};        // when
};

// Whether a session that wants to may wait for the middle: this edge may load it, and did not try
// in vain just now.
bool MayTakeOver(const EdgeState& s, Time now);
// A routing session that waits for the middle, not only for a route.
bool WaitsForMiddle(const EdgeState& s, Time now, const EdgeSlot& slot);
void PlanTakeOver(const EdgeState& s, Time now, EdgePlan& plan);
void TakeLoaded(EdgeState& s, Time now, MiddleLoaded& loaded);
// No route is left to try: the edge takes the session over, or it ends with `why`.
void GiveUpRoutes(EdgeState& s, Time now, EdgeSlot& slot, absl::Status why);
// The session goes on alone. Needs: it is routing, and the middle is here with its pages.
void GoAlone(EdgeState& s, Time now, EdgeSlot& slot);
// `why`, and why the edge did not take over, where it tried.
absl::Status WithTakeOverRefusal(const EdgeSlot& slot, absl::Status why);

}  // namespace mortar
