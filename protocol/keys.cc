#include "protocol/keys.h"

#include <sodium.h>

#include <cstring>

#include "common/check.h"

namespace mortar {
namespace {

static_assert(kKeyBytes == crypto_box_PUBLICKEYBYTES && kKeyBytes == crypto_box_SECRETKEYBYTES);

// What the hash of a node's id is for, so that the same bytes hashed for something else differ.
constexpr char kNodeIdContext[] = "mortar node id 1";

std::string Hex(const std::array<uint8_t, kKeyBytes>& bytes) {
  char text[2 * kKeyBytes + 1];
  sodium_bin2hex(text, sizeof text, bytes.data(), bytes.size());
  return text;
}

bool ReadHex(std::string_view text, std::array<uint8_t, kKeyBytes>& bytes) {
  size_t size = 0;
  const char* end = nullptr;
  const int rc =
      sodium_hex2bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &size, &end);
  return rc == 0 && size == bytes.size() && end == text.data() + text.size();
}

}  // namespace

std::string ToHex(const PublicKey& key) { return Hex(key.bytes); }
std::string ToHex(const SecretKey& key) { return Hex(key.bytes); }

absl::StatusOr<PublicKey> ParsePublicKey(std::string_view text) {
  PublicKey key;
  if (ReadHex(text, key.bytes) && !key.empty()) return key;
  // What was given may be a secret one by mistake: it is not shown.
  return InvalidArgument("a public key has " + std::to_string(2 * kKeyBytes) +
                         " hexadecimal digits, not all of them zero; this is a text of " +
                         std::to_string(text.size()) + " characters that is none");
}

SecretKey::~SecretKey() { sodium_memzero(bytes.data(), bytes.size()); }

KeyPair NewKeyPair() {
  CHECK(sodium_init() >= 0);
  KeyPair pair;
  CHECK(crypto_box_keypair(pair.public_key.bytes.data(), pair.secret_key.bytes.data()) == 0);
  return pair;
}

absl::StatusOr<KeyPair> ParseSecretKey(std::string_view text) {
  KeyPair pair;
  if (!ReadHex(text, pair.secret_key.bytes)) {
    return InvalidArgument("a secret key has " + std::to_string(2 * kKeyBytes) +
                           " hexadecimal digits");
  }
  if (crypto_scalarmult_base(pair.public_key.bytes.data(), pair.secret_key.bytes.data()) != 0) {
    return InvalidArgument("this secret key belongs to no public one");
  }
  return pair;
}

NodeId NodeIdOf(const PublicKey& key, uint64_t instance) {
  crypto_generichash_state state;
  constexpr size_t kHashBytes = crypto_generichash_BYTES_MIN;
  CHECK(crypto_generichash_init(&state, nullptr, 0, kHashBytes) == 0);
  const auto add = [&](const void* data, size_t bytes) {
    CHECK(crypto_generichash_update(&state, static_cast<const uint8_t*>(data), bytes) == 0);
  };
  uint8_t instance_bytes[sizeof instance];
  for (size_t i = 0; i < sizeof instance; ++i) {
    instance_bytes[i] = static_cast<uint8_t>(instance >> (8 * i));
  }
  add(kNodeIdContext, sizeof kNodeIdContext);
  add(key.bytes.data(), key.bytes.size());
  add(instance_bytes, sizeof instance_bytes);
  uint8_t hash[kHashBytes];
  CHECK(crypto_generichash_final(&state, hash, sizeof hash) == 0);
  NodeId id;
  for (size_t i = sizeof id.value; i > 0; --i) id.value = id.value << 8 | hash[i - 1];
  return id;
}

size_t KeyHash::operator()(const PublicKey& key) const {
  size_t hash;  // a curve's point is as good as random
  std::memcpy(&hash, key.bytes.data(), sizeof hash);
  return hash;
}

}  // namespace mortar
