// Keys of sessions that have not begun: an edge sends them before the first frame.
#pragma once

#include <limits>
#include <optional>
#include <unordered_map>

#include "common/clock.h"
#include "common/ring_queue.h"
#include "protocol/ids.h"
#include "protocol/seal.h"

namespace mortar {

// Routes that an edge may have asked for at a time; more of one edge push out its own oldest.
inline constexpr size_t kOpenedPerEdgeMax = 64;
// Of all edges together: some 200 bytes each. More push out the oldest of all.
inline constexpr size_t kOpenedMax = 4096;

// What a session's grant lets it have of a worker. Without keys: what any session may have.
struct SessionQuota {
  int positions_max = std::numeric_limits<int>::max();
  int frames_max = kFramesInFlightMax;          // queued
  size_t row_bytes_max = kRowBytesInFlightMax;  // of their rows
  Time until = Time::max();                     // the session is ended then
  CalendarTime expires{};                       // as the grant says it
};

struct OpenedSession {
  NodeId edge;
  SessionSeal seal;
  SessionQuota quota{};
  uint64_t spent = 0;  // steps up to this were used before (worker/spent_steps.h)
};

class OpenedSessions {
 public:
  // A session that is here already keeps its key unless the same edge brings another.
  void Add(const SessionId& session, const OpenedSession& opened);
  const OpenedSession* Find(const SessionId& session) const;  // null: not here
  void Remove(const SessionId& session);
  void RemoveOf(NodeId edge);  // all of an edge that is gone
  size_t size() const { return opened_.size(); }

 private:
  std::optional<SessionId> OldestOf(std::optional<NodeId> edge) const;

  std::unordered_map<SessionId, OpenedSession, IdHash> opened_;
  std::unordered_map<NodeId, size_t, IdHash> of_edge_;
  RingQueue<SessionId> order_;  // as they came; each is in opened_
};

}  // namespace mortar
