// The envelope: first in every activation frame, of one size, so that any node can forward
// the frame or answer it without state of its own, and a relay need not see the rows.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "protocol/ids.h"
#include "protocol/limits.h"

namespace mortar {

// Which rows the last hop sends back to the edge. Every frame is answered: by these rows, or
// by a frame without rows. The answer is the credit that lets the edge send another.
enum class RowsWanted : uint8_t { kNone = 0, kLast = 1, kAll = 2 };

inline constexpr uint8_t kFlagAnswer = 1;  // from the last hop to the edge
inline constexpr uint8_t kFlagsKnown = kFlagAnswer;

// Layout and order of bytes are those of the wire (little-endian).
struct Envelope {
  SessionId session;
  NodeId edge;         // owner of the session; gets all answers
  uint64_t step = 0;   // grows with each frame, resends included
  uint32_t epoch = 0;  // grows with each retry and each new route
  uint32_t base = 0;   // position of the first row
  uint32_t n = 0;      // rows; 0 in an empty answer alone
  RowsWanted rows_wanted = RowsWanted::kAll;
  uint8_t flags = 0;                        // kFlag…; others must be zero
  uint8_t n_hops = 0;                       // of `hops`
  uint8_t reserved = 0;                     // must be zero
  std::array<NodeId, kHopsMax - 1> hops{};  // hops after the receiver, the next one first

  bool is_answer() const { return (flags & kFlagAnswer) != 0; }
};

// As counted for each frame beside its rows. Design: at most 200 bytes with ZeroMQ's own.
inline constexpr size_t kEnvelopeBytes = sizeof(Envelope);

static_assert(std::endian::native == std::endian::little);
static_assert(std::is_trivially_copyable_v<Envelope>);
static_assert(std::is_standard_layout_v<Envelope>);
static_assert(offsetof(Envelope, edge) == 16 && offsetof(Envelope, step) == 24);
static_assert(offsetof(Envelope, epoch) == 32 && offsetof(Envelope, base) == 36);
static_assert(offsetof(Envelope, n) == 40 && offsetof(Envelope, rows_wanted) == 44);
static_assert(offsetof(Envelope, flags) == 45 && offsetof(Envelope, n_hops) == 46);
static_assert(offsetof(Envelope, hops) == 48);
static_assert(kEnvelopeBytes == 104, "a frame's overhead is promised to users: keep it small");

}  // namespace mortar
