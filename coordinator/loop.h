// The coordinator: one loop that owns its state.
#pragma once

#include "common/clock.h"
#include "common/log.h"
#include "common/pump.h"
#include "common/random.h"
#include "coordinator/state.h"
#include "protocol/transport.h"

namespace mortar {

class Coordinator final : public Loop {
 public:
  // All of these outlive the coordinator. `random` must be unguessable outside simulation.
  struct Parts {
    Transport& transport;
    const Clock& clock;
    RandomSource& random;
    const Logger& log;
  };
  Coordinator(CoordinatorOptions options, Parts parts);

  bool Step() override;
  const CoordinatorState& state() const { return state_; }

 private:
  void SendOwed();
  void Send(Outgoing outgoing);

  Parts parts_;
  CoordinatorState state_;
};

}  // namespace mortar
