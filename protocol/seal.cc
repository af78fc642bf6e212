#include "protocol/seal.h"

#include <sodium.h>

#include <cstring>
#include <utility>

#include "common/check.h"
#include "protocol/grant.h"
#include "protocol/packed.h"

namespace mortar {
namespace {

static_assert(kSealedKeyBytes == crypto_box_SEALBYTES + kKeyBytes);
static_assert(kSealBytes == crypto_aead_chacha20poly1305_ietf_ABYTES);
static_assert(kKeyBytes == crypto_aead_chacha20poly1305_ietf_KEYBYTES);

constexpr char kRowsKeyContext[] = "mortar rows key 1";
constexpr char kOpenKeyContext[] = "mortar open key 1";
constexpr char kMessageContext[] = "mortar message 1";
using Nonce = std::array<uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES>;

using Associated = Packed<160>;
// The largest is a Rejected with its reason.
using PackedMessage = Packed<128 + kStatusTextBytesMax>;

// All of an envelope but the tag.
Associated AssociatedData(const Envelope& e) {
  Associated data;
  data.Add(e.session);
  data.Add(e.edge.value).Add(e.step).Add(e.epoch).Add(e.base).Add(e.n);
  data.Add(static_cast<uint8_t>(e.rows_wanted)).Add(e.flags);
  data.Add(static_cast<uint32_t>(e.layer ? *e.layer + 1 : 0)).Add(e.n_hops);
  for (size_t i = 0; i < e.n_hops; ++i) data.Add(e.hops[i].value);
  return data;
}

Nonce NonceOf(const Envelope& e) {
  Nonce nonce{};
  for (size_t i = 0; i < sizeof e.step; ++i) nonce[i] = static_cast<uint8_t>(e.step >> (8 * i));
  return nonce;
}

// Of a frame without rows some place of its own, for libsodium wants one even of no bytes.
uint8_t* BytesOf(Activation& frame) {
  if (frame.rows.empty()) return frame.envelope.seal.data();
  return reinterpret_cast<uint8_t*>(frame.rows.mutable_data());
}

}  // namespace

SessionKey NewSessionKey() {
  CHECK(sodium_init() >= 0);
  SessionKey key;
  randombytes_buf(key.bytes.data(), key.bytes.size());
  return key;
}

absl::StatusOr<SealedKey> SealFor(const PublicKey& hop, const SessionKey& key) {
  SealedKey sealed;
  if (crypto_box_seal(sealed.data(), key.bytes.data(), kKeyBytes, hop.bytes.data()) != 0) {
    return InvalidArgument("nothing can be sealed for key " + ToHex(hop));
  }
  return sealed;
}

absl::StatusOr<SessionKey> OpenSealed(const SealedKey& sealed, const KeyPair& own) {
  SessionKey key;
  if (crypto_box_seal_open(key.bytes.data(), sealed.data(), sealed.size(),
                           own.public_key.bytes.data(), own.secret_key.bytes.data()) != 0) {
    return PermissionDenied("the session's key is not sealed for this node");
  }
  return key;
}

SecretKey OpenKeyOf(const KeyPair& own, const PublicKey& other) {
  SecretKey shared, key;
  // A key that is a point of low order gives nothing to share; a pair's never is.
  if (crypto_scalarmult(shared.bytes.data(), own.secret_key.bytes.data(), other.bytes.data()) !=
      0) {
    randombytes_buf(key.bytes.data(), key.bytes.size());
    return key;
  }
  CHECK(crypto_generichash(key.bytes.data(), kKeyBytes,
                           reinterpret_cast<const uint8_t*>(kOpenKeyContext),
                           sizeof kOpenKeyContext, shared.bytes.data(), kKeyBytes) == 0);
  return key;
}

SessionKey RowsKeyOf(const SessionKey& session, NodeId sender) {
  Packed<32> input;
  for (const char c : kRowsKeyContext) input.Add(static_cast<uint8_t>(c));
  input.Add(sender.value);
  SessionKey key;
  CHECK(crypto_generichash(key.bytes.data(), kKeyBytes, input.data(), input.size(),
                           session.bytes.data(), kKeyBytes) == 0);
  return key;
}

absl::StatusOr<RouteKeys> NewRouteKeys(const RouteGrant& grant, const KeyPair& own) {
  RouteKeys keys{.session = NewSessionKey(), .shown = ShownOf(grant)};
  for (const Hop& hop : grant.hops) {
    const auto sealed = SealFor(hop.key, keys.session);
    if (!sealed.ok()) return WithContext(sealed.status(), "worker " + hop.name);
    keys.for_hops.push_back({.key = *sealed, .seal = OpenKeyOf(own, hop.key)});
  }
  return keys;
}

void SealRows(const SessionKey& rows_key, Activation& frame) {
  Envelope& e = frame.envelope;
  e.flags |= kFlagSealed;
  const Associated data = AssociatedData(e);
  unsigned long long tag_bytes = 0;
  uint8_t* rows = BytesOf(frame);
  CHECK(crypto_aead_chacha20poly1305_ietf_encrypt_detached(
            rows, e.seal.data(), &tag_bytes, rows, frame.rows.bytes(), data.data(), data.size(),
            nullptr, NonceOf(e).data(), rows_key.bytes.data()) == 0);
  CHECK(tag_bytes == e.seal.size());
}

// --- Other messages ---

namespace {

// What stands for the kind of a message in its tag: its ordinal in the union of wire.capnp's Frame,
// for that is what stays while the C++ variant grows.
template <typename M>
constexpr uint8_t kSealedKind = 0;
template <>
constexpr uint8_t kSealedKind<NeedPrefix> = 9;
template <>
constexpr uint8_t kSealedKind<NeedRoute> = 10;
template <>
constexpr uint8_t kSealedKind<Rejected> = 11;
template <>
constexpr uint8_t kSealedKind<End> = 12;
template <>
constexpr uint8_t kSealedKind<Cancel> = 13;
template <>
constexpr uint8_t kSealedKind<Ended> = 16;
template <>
constexpr uint8_t kSealedKind<Open> = 17;

// What each says, one behind the other.
void Say(PackedMessage& p, const NeedPrefix& m) {
  p.Add(m.session).Add(m.epoch).Add(m.step).Add(m.have);
}
void Say(PackedMessage& p, const NeedRoute& m) { p.Add(m.session).Add(m.epoch).Add(m.step); }
void Say(PackedMessage& p, const Rejected& m) {
  p.Add(m.session).Add(m.epoch).Add(m.step).Add(static_cast<uint16_t>(m.status.code()));
  p.AddText(Message(m.status).substr(0, kStatusTextBytesMax));  // as it is sent
}
void Say(PackedMessage& p, const End& m) { p.Add(m.session); }
void Say(PackedMessage& p, const Cancel& m) { p.Add(m.session); }
void Say(PackedMessage& p, const Ended& m) {
  p.Add(m.session).Add(m.frames).Add(m.bytes).Add(m.rows).Add(m.compute_ns);
}
void Say(PackedMessage& p, const Open& m) {
  p.Add(m.session).Add(m.key).Add(m.epoch).Add(m.step);
  // Stands for the grant: whoever changes that has no signature for it.
  p.Add(m.grant.signature.value_or(Signature{}));
}

template <typename M>
concept IsSealed = requires(PackedMessage& p, const M& m) { Say(p, m); };

template <IsSealed M>
SealTag TagOf(const SecretKey& key, const M& message) {
  PackedMessage p;
  p.AddText(kMessageContext);
  static_assert(kSealedKind<M> != 0);
  p.Add(kSealedKind<M>);
  Say(p, message);
  SealTag tag;
  CHECK(crypto_generichash(tag.data(), tag.size(), p.data(), p.size(), key.bytes.data(),
                           kKeyBytes) == 0);
  return tag;
}

}  // namespace

void SealMessage(const SecretKey& key, AnyMessage& message) {
  if (auto* frame = std::get_if<Activation>(&message)) return SealRows(key, *frame);
  std::visit(
      [&](auto& m) {
        using M = std::decay_t<decltype(m)>;
        CHECK(IsSealed<M>);
        if constexpr (IsSealed<M>) m.seal = TagOf(key, m);
      },
      message);
}

absl::Status CheckSeal(const SecretKey& key, const AnyMessage& message) {
  return std::visit(
      [&](const auto& m) -> absl::Status {
        using M = std::decay_t<decltype(m)>;
        if constexpr (IsSealed<M>) {
          if (!m.seal) return PermissionDenied("the message is not sealed");
          const SealTag tag = TagOf(key, m);
          if (sodium_memcmp(tag.data(), m.seal->data(), tag.size()) == 0) return absl::OkStatus();
          return PermissionDenied("the message's seal is not that of its session and sender");
        } else {
          return PermissionDenied("a message that nobody seals");
        }
      },
      message);
}

absl::Status CheckNotSealed(const Activation& frame) {
  if (!frame.envelope.is_sealed()) return absl::OkStatus();
  return PermissionDenied("a sealed frame came to a node without keys");
}

absl::Status OpenRows(const SessionKey& rows_key, Activation& frame) {
  const Envelope& e = frame.envelope;
  if ((e.flags & kFlagSealed) == 0) return PermissionDenied("the frame is not sealed");
  const Associated data = AssociatedData(e);
  uint8_t* rows = BytesOf(frame);
  if (crypto_aead_chacha20poly1305_ietf_decrypt_detached(
          rows, nullptr, rows, frame.rows.bytes(), e.seal.data(), data.data(), data.size(),
          NonceOf(e).data(), rows_key.bytes.data()) != 0) {
    frame.rows = {};
    return PermissionDenied("the frame's seal is not that of its session and sender");
  }
  return absl::OkStatus();
}

}  // namespace mortar
