// Who a node is: a pair of Curve25519 keys, as CurveZMQ takes them (ZeroMQ RFC 26). The public key
// is the node's name to others, the secret one never leaves its file and its process.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"
#include "protocol/ids.h"

namespace mortar {

inline constexpr size_t kKeyBytes = 32;

// Zero: none. No pair has it.
struct PublicKey {
  std::array<uint8_t, kKeyBytes> bytes{};
  bool empty() const { return *this == PublicKey{}; }
  auto operator<=>(const PublicKey&) const = default;
};

// 64 lower-case hexadecimal digits.
std::string ToHex(const PublicKey& key);
// InvalidArgument when the text is anything else, or no pair's key.
absl::StatusOr<PublicKey> ParsePublicKey(std::string_view text);

// Wiped when it goes.
class SecretKey {
 public:
  SecretKey() = default;
  ~SecretKey();
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;

  std::array<uint8_t, kKeyBytes> bytes{};
};

// A secret key that only one pair can read (libsodium's sealed box adds 48 bytes).
inline constexpr size_t kSealedKeyBytes = kKeyBytes + 48;
using SealedKey = std::array<uint8_t, kSealedKeyBytes>;

struct KeyPair {
  PublicKey public_key;
  SecretKey secret_key;
};

// What a coordinator's signatures are checked with (Ed25519). Zero: none.
struct SignerKey {
  std::array<uint8_t, kKeyBytes> bytes{};
  bool empty() const { return *this == SignerKey{}; }
  auto operator<=>(const SignerKey&) const = default;
};
inline constexpr size_t kSignatureBytes = 64;
using Signature = std::array<uint8_t, kSignatureBytes>;

// From the kernel's generator.
KeyPair NewKeyPair();
// For a file that a person may look at, and nothing else.
std::string ToHex(const SecretKey& key);
// The pair of a secret key written by ToHex. InvalidArgument, without a digit of it, when it is
// none.
absl::StatusOr<KeyPair> ParseSecretKey(std::string_view text);

// The id of a process that holds `key` and drew `instance` at its start: a hash of both, so that
// nobody without the key can take it, and one key may serve several processes.
NodeId NodeIdOf(const PublicKey& key, uint64_t instance);

struct KeyHash {
  size_t operator()(const PublicKey& key) const;
};

}  // namespace mortar
