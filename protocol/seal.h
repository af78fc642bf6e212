// Rows sealed from end to end: between an edge and the hops of its route, so that a relay reads
// envelopes and nothing else, and no other node can write into a session.
//
//   1. With each route the edge draws a session key and seals it to each hop's public key
//   (libsodium's
//      sealed box: X25519, XSalsa20-Poly1305); Open carries it there.
//   2. Whoever sends rows derives its own key from the session key and its node id (keyed BLAKE2b).
//   3. Rows are encrypted in place with ChaCha20-Poly1305 (RFC 8439), the whole envelope as
//      associated data; the tag stands in the envelope. The nonce is the step, which a sender uses
//      once in a session: the edge counts it up, and a worker forwards each step once.
//
// Pure functions over values; the CPU cost is some 1 µs a KiB.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/status.h"
#include "protocol/keys.h"
#include "protocol/messages.h"

namespace mortar {

using SessionKey = SecretKey;
SessionKey NewSessionKey();

// For `hop` alone. InvalidArgument: nothing can be sealed for this key.
absl::StatusOr<SealedKey> SealFor(const PublicKey& hop, const SessionKey& key);
// PermissionDenied when it was not sealed for this pair.
absl::StatusOr<SessionKey> OpenSealed(const SealedKey& sealed, const KeyPair& own);

// What `sender` seals its rows of the session with.
SessionKey RowsKeyOf(const SessionKey& session, NodeId sender);

// What an edge needs for a route whose hops have keys.
struct RouteKeys {
  SessionKey session;
  std::vector<SealedKey> for_hops{};  // in their order
};
// InvalidArgument names a hop without a usable key.
absl::StatusOr<RouteKeys> NewRouteKeys(const RouteGrant& grant);

// What a hop has of a session: the key that was opened, and what it seals its own rows with.
struct SessionSeal {
  SessionKey session;
  SessionKey own;
};

// Encrypts the rows in place, which nobody else holds, and sets flag and tag of the envelope. A
// frame without rows is sealed too: its envelope cannot be made up.
void SealRows(const SessionKey& rows_key, Activation& frame);
// The rows as they were. PermissionDenied when the frame is not sealed, or not by this key under
// this envelope; the rows are lost then.
absl::Status OpenRows(const SessionKey& rows_key, Activation& frame);
// Of a node without keys: PermissionDenied for a frame that it cannot open.
absl::Status CheckNotSealed(const Activation& frame);

}  // namespace mortar
