// What makes a route's grant one: the signature of its coordinator (Ed25519, RFC 8032), which
// whoever is shown the grant checks without asking anybody.
//
//   1. A coordinator with keys makes its signing pair of its node's secret key (keyed BLAKE2b), so
//      that a key file stays as it is, and says the public half in Welcome: on a link on which it
//      has proved the key that the other end was given (CURVE), and on no other.
//   2. It signs session, edge and the edge's key, model, quota, expiry, and of each hop node, key
//      and layers. Names, endpoints and digests of bricks are for the edge alone: the link that
//      brings them is proof enough, and the model's digest stands for the bricks'.
//   3. The edge checks its route, and shows each hop what was signed, in Open. The hop checks that
//      it is its own and the edge's, and takes a session's key from nobody else.
//
// Pure functions over values: 30 µs for a signature, 80 µs for a check.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "common/clock.h"
#include "common/layer_range.h"
#include "common/status.h"
#include "protocol/keys.h"
#include "protocol/messages.h"

namespace mortar {

// How far the clocks of a coordinator and a hop may be apart: a grant is taken for so long after it
// has expired. Machines whose clocks nobody sets differ by minutes.
inline constexpr Duration kClockSkewMax = std::chrono::minutes(5);
// Coordinators whose grants a node takes at a time: the newest that welcomed it. After one has
// changed its key, grants of the old one are still in use.
inline constexpr size_t kSignersMax = 4;

// A coordinator's signing pair. The secret half is wiped when it goes.
class Signer {
 public:
  explicit Signer(const KeyPair& keys);
  ~Signer();
  Signer(const Signer&) = default;
  Signer& operator=(const Signer&) = default;

  const SignerKey& key() const { return key_; }
  // Sets grant.signature. Everything else of the grant is set already.
  void Sign(RouteGrant& grant) const;

 private:
  SignerKey key_;
  std::array<uint8_t, 64> secret_{};
};

// The newest signer last. One that is there already becomes the newest; the oldest goes.
void Trust(std::vector<SignerKey>& signers, const SignerKey& key);
// The same of all that a coordinator may sign with while its key changes; the one that it prefers
// becomes the newest.
void TrustAll(std::vector<SignerKey>& signers, const Doors& doors);

// The part of a grant that is signed: what a hop is shown.
RouteGrant ShownOf(const RouteGrant& grant);
// PermissionDenied: not signed, or by none of `signers`, or changed since.
absl::Status CheckSignature(std::span<const SignerKey> signers, const RouteGrant& grant);

// Who is shown a grant.
struct GrantedHop {
  NodeId node;
  PublicKey key;
  LayerRange layers;  // that it hosts
  Digest model;
};
// What a hop asks of a grant beside its signature: it names this hop, under this key and with these
// layers, and `edge`, who shows it, and it has not expired. PermissionDenied, and
// FailedPrecondition for what an edge in good faith may show: other layers by now, or too late.
absl::Status CheckShown(const RouteGrant& grant, const GrantedHop& hop, NodeId edge,
                        CalendarTime now);

}  // namespace mortar
