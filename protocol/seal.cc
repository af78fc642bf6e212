#include "protocol/seal.h"

#include <sodium.h>

#include <cstring>

#include "common/check.h"

namespace mortar {
namespace {

static_assert(kSealedKeyBytes == crypto_box_SEALBYTES + kKeyBytes);
static_assert(kSealBytes == crypto_aead_chacha20poly1305_ietf_ABYTES);
static_assert(kKeyBytes == crypto_aead_chacha20poly1305_ietf_KEYBYTES);

constexpr char kRowsKeyContext[] = "mortar rows key 1";
using Nonce = std::array<uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES>;

// Little-endian numbers one behind the other: the same bytes on every machine.
class Packed {
 public:
  template <typename T>
  Packed& Add(T value) {
    for (size_t i = 0; i < sizeof value; ++i) {
      CHECK(size_ < bytes_.size());
      bytes_[size_++] = static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i));
    }
    return *this;
  }
  void Add(const SessionId& id) {
    for (const uint8_t byte : id.bytes) Add(byte);
  }
  const uint8_t* data() const { return bytes_.data(); }
  size_t size() const { return size_; }

 private:
  std::array<uint8_t, 160> bytes_{};
  size_t size_ = 0;
};

// All of an envelope but the tag.
Packed AssociatedData(const Envelope& e) {
  Packed data;
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

SessionKey RowsKeyOf(const SessionKey& session, NodeId sender) {
  Packed input;
  for (const char c : kRowsKeyContext) input.Add(static_cast<uint8_t>(c));
  input.Add(sender.value);
  SessionKey key;
  CHECK(crypto_generichash(key.bytes.data(), kKeyBytes, input.data(), input.size(),
                           session.bytes.data(), kKeyBytes) == 0);
  return key;
}

absl::StatusOr<RouteKeys> NewRouteKeys(const RouteGrant& grant) {
  RouteKeys keys{.session = NewSessionKey()};
  for (const Hop& hop : grant.hops) {
    const auto sealed = SealFor(hop.key, keys.session);
    if (!sealed.ok()) return WithContext(sealed.status(), "worker " + hop.name);
    keys.for_hops.push_back(*sealed);
  }
  return keys;
}

void SealRows(const SessionKey& rows_key, Activation& frame) {
  Envelope& e = frame.envelope;
  e.flags |= kFlagSealed;
  const Packed data = AssociatedData(e);
  unsigned long long tag_bytes = 0;
  uint8_t* rows = BytesOf(frame);
  CHECK(crypto_aead_chacha20poly1305_ietf_encrypt_detached(
            rows, e.seal.data(), &tag_bytes, rows, frame.rows.bytes(), data.data(), data.size(),
            nullptr, NonceOf(e).data(), rows_key.bytes.data()) == 0);
  CHECK(tag_bytes == e.seal.size());
}

absl::Status CheckNotSealed(const Activation& frame) {
  if (!frame.envelope.is_sealed()) return absl::OkStatus();
  return PermissionDenied("a sealed frame came to a node without keys");
}

absl::Status OpenRows(const SessionKey& rows_key, Activation& frame) {
  const Envelope& e = frame.envelope;
  if ((e.flags & kFlagSealed) == 0) return PermissionDenied("the frame is not sealed");
  const Packed data = AssociatedData(e);
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
