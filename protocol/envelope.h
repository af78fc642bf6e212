// The envelope: first in every activation frame, so that any node can forward the frame or
// answer it without state of its own, and a relay need not see the rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "protocol/ids.h"
#include "protocol/limits.h"

namespace mortar {

// Which rows the last hop sends back to the edge. Every frame is answered: by these rows, or
// by a frame without rows. The answer is the credit that lets the edge send another.
enum class RowsWanted : uint8_t { kNone = 0, kLast = 1, kAll = 2 };

inline constexpr uint16_t kFlagAnswer = 1;  // from the last hop to the edge
inline constexpr uint16_t kFlagSealed = 2;  // rows and envelope are sealed (seal.h)
inline constexpr uint16_t kFlagsKnown = kFlagAnswer | kFlagSealed;

inline constexpr size_t kSealBytes = 16;  // of a message's tag
using SealTag = std::array<uint8_t, kSealBytes>;

struct Envelope {
  SessionId session{};
  NodeId edge{};       // owner of the session; gets all answers
  uint64_t step = 0;   // grows with each frame, resends included
  uint32_t epoch = 0;  // grows with each retry and each new route
  uint32_t base = 0;   // position of the first row
  uint32_t n = 0;      // rows; 0 in an empty answer alone
  RowsWanted rows_wanted = RowsWanted::kAll;
  uint8_t n_hops = 0;                       // of `hops`
  uint16_t flags = 0;                       // kFlag…; others must be zero
  std::optional<uint16_t> layer{};          // of which the rows are the input; a sender may not say
  std::array<NodeId, kHopsMax - 1> hops{};  // hops after the receiver, the next one first
  SealTag seal{};                           // when kFlagSealed is set

  constexpr bool is_answer() const { return (flags & kFlagAnswer) != 0; }
  constexpr bool is_sealed() const { return (flags & kFlagSealed) != 0; }
  bool operator==(const Envelope&) const = default;
};

// Bytes of an encoded frame beside its rows (wire.h). Design: at most 200 with ZeroMQ's own, 300
// with keys.
inline constexpr size_t EncodedBytes(const Envelope& e) {
  return 128 + 8 * size_t{e.n_hops} + (e.is_sealed() ? kSealBytes : 0);
}

}  // namespace mortar
