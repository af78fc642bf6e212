// Rows and words sealed from end to end: between an edge and the hops of its route, so that a relay
// reads envelopes and nothing else, and no other node can write into a session or end it.
//
//   1. With each route the edge draws a session key and seals it to each hop's public key
//      (libsodium's sealed box: X25519, XSalsa20-Poly1305); Open carries it there.
//   2. Whoever sends rows derives its own key from the session key and its node id (keyed BLAKE2b).
//   3. Rows are encrypted in place with ChaCha20-Poly1305 (RFC 8439), the whole envelope as
//      associated data; the tag stands in the envelope. The nonce is the step, which a sender uses
//      once in a session: the edge counts it up, and a worker forwards each step once, also of a
//      session that ended there and was opened again (worker/spent_steps.h).
//   4. What edge and hops say of a session beside rows has a tag: keyed BLAKE2b, 16 bytes, over its
//      kind (its ordinal in wire.capnp) and all that it says, under the key of step 2. It can be
//      read on the way, and repeated: all of it is about one session, and most about one step of
//      it, so that a second one changes nothing. Open has a tag too, under a key that edge and hop
//      make of their pairs (X25519).
//
// The hops of a route have the same session's key: between them nothing is proved.
//
// Pure functions over values; the CPU cost is some 1 µs a KiB, 1 µs a tag, 50 µs a key of two
// pairs.
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

// What two nodes seal Open with; both make the same one.
SecretKey OpenKeyOf(const KeyPair& own, const PublicKey& other);

// What an edge needs for a route whose hops have keys.
struct RouteKeys {
  struct ForHop {
    SealedKey key{};
    SecretKey seal{};  // of Open
  };
  SessionKey session;
  RouteGrant shown{};              // to each of them
  std::vector<ForHop> for_hops{};  // in their order
};
// Of the edge that holds `own`. InvalidArgument names a hop without a usable key.
absl::StatusOr<RouteKeys> NewRouteKeys(const RouteGrant& grant, const KeyPair& own);

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
// The same for any message that is sealed: NeedPrefix, NeedRoute, Rejected, End, Cancel and Ended
// with what RowsKeyOf gives for its sender, Open with OpenKeyOf; rows as SealRows. Needs one of
// these (CHECKed).
void SealMessage(const SecretKey& key, AnyMessage& message);
// PermissionDenied: it has no seal, or another one. Not of rows, which OpenRows reads.
absl::Status CheckSeal(const SecretKey& key, const AnyMessage& message);

// Of a node without keys: PermissionDenied for a frame that it cannot open.
absl::Status CheckNotSealed(const Activation& frame);

}  // namespace mortar
