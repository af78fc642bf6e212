// Names of what crosses between nodes, as distinct types.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

#include "common/random.h"

namespace mortar {

// One session. Allocated by the coordinator for each route, from a source that nobody can
// guess, and never used again.
struct SessionId {
  std::array<uint8_t, 16> bytes{};
  auto operator<=>(const SessionId&) const = default;
};

// One process that takes part. Chosen at random by the node itself, so that it outlives a
// restart of the coordinator. That two nodes differ rests on chance, and within one process on
// LocalNetwork; network transports have yet to give links identities that prove an id. Those of
// coordinators are fixed, since they are the ones that others know before they join.
struct NodeId {
  uint64_t value = 0;
  auto operator<=>(const NodeId&) const = default;
};
inline constexpr NodeId kNoNode{0};
inline constexpr NodeId kCoordinatorNode{1};
inline constexpr uint64_t kReservedNodeIds = 16;  // never chosen by a node
// Of one cluster. The second is there while the first is not; nobody has asked for a third.
inline constexpr int kCoordinatorsMax = 2;

// The index-th coordinator of a cluster, from 0. The lower id goes first.
inline constexpr NodeId CoordinatorNode(int index) {
  return {kCoordinatorNode.value + static_cast<uint64_t>(index)};
}
inline constexpr bool IsCoordinator(NodeId id) {
  return id.value - kCoordinatorNode.value < static_cast<uint64_t>(kCoordinatorsMax);
}
// Needs: IsCoordinator.
inline constexpr int CoordinatorIndex(NodeId id) {
  return static_cast<int>(id.value - kCoordinatorNode.value);
}

inline SessionId NewSessionId(RandomSource& random) {
  SessionId id;
  random.Fill(id.bytes.data(), static_cast<int>(id.bytes.size()));
  return id;
}

inline NodeId NewNodeId(RandomSource& random) {
  NodeId id;
  while (id.value < kReservedNodeIds) {
    uint8_t bytes[sizeof(id.value)];
    random.Fill(bytes, sizeof(bytes));
    std::memcpy(&id.value, bytes, sizeof(bytes));
  }
  return id;
}

// "coordinator", "coordinator 2", or 16 hexadecimal digits.
inline std::string ToString(NodeId id) {
  if (id == kCoordinatorNode) return "coordinator";
  if (IsCoordinator(id)) return "coordinator " + std::to_string(CoordinatorIndex(id) + 1);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += kHex[(id.value >> shift) & 15];
  return out;
}

// For unordered maps. Ids are random, so their bits need no further mixing.
struct IdHash {
  size_t operator()(const SessionId& id) const {
    size_t hash;
    std::memcpy(&hash, id.bytes.data(), sizeof(hash));
    return hash;
  }
  size_t operator()(const NodeId& id) const { return static_cast<size_t>(id.value); }
};

}  // namespace mortar
