// The coordinator: one loop that owns its state.
#pragma once

#include <optional>

#include "common/clock.h"
#include "common/log.h"
#include "common/pump.h"
#include "common/random.h"
#include "coordinator/state.h"
#include "protocol/grant.h"
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
    const KeyPair* keys = nullptr;  // of this node: grants are signed; null: they are not
  };
  Coordinator(CoordinatorOptions options, Parts parts);

  bool Step() override;
  // From now on: this node's key has changed, and its members know the new one.
  void SignWith(const KeyPair& keys) { signer_.emplace(keys); }
  const CoordinatorState& state() const { return state_; }

 private:
  void SendOwed();
  void Send(Outgoing outgoing);
  // What others take this coordinator's word by.
  void SignFor(AnyMessage& message) const;

  Parts parts_;
  std::optional<Signer> signer_;
  CoordinatorState state_;
};

}  // namespace mortar
