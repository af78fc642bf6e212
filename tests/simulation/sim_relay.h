// A relay of bad will, where nodes have keys: it keeps what passes it and brings it again later, as
// it was or with one thing changed, and says words in the names of others. It reads envelopes, as
// every relay does, and has no key.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "tests/simulation/sim_checker.h"
#include "tests/simulation/sim_network.h"

namespace mortar {

// Is in every error that a relay makes up: no request may end in it.
inline constexpr char kMadeUp[] = "made up on the way";

class LyingRelay {
 public:
  // Both outlive it.
  LyingRelay(SimNetwork& network, const SimView& view, uint64_t seed)
      : network_(network), view_(view), random_(seed) {}

  void Pass(NodeId from, NodeId to, const AnyMessage& message);
  void Misbehave(int burst);

 private:
  struct Kept {
    NodeId from, to;
    AnyMessage message;
  };
  void Keep(Kept kept);
  void MakeUp(const Kept& frame);
  uint64_t Any(uint64_t below) { return random_() % below; }

  SimNetwork& network_;
  const SimView& view_;
  std::mt19937_64 random_;
  std::vector<Kept> kept_;
  size_t oldest_ = 0;
};

}  // namespace mortar
