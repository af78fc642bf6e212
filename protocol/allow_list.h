// Which public keys may join, and as what: a text that people write, one key a line, as in
//
//   # the laboratory
//   3f…64 hexadecimal digits…9a worker lab-1
//   a0…64 hexadecimal digits…17 edge,worker Ada's desk
//
// A line is a key, roles separated by commas, and words for people. Lines that are empty or begin
// with # say nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/status.h"
#include "protocol/keys.h"
#include "protocol/messages.h"

namespace mortar {

// Twice as many as a coordinator has members; some 100 bytes each.
inline constexpr size_t kAllowedKeysMax = size_t{2} * kNodesMax;
inline constexpr size_t kAllowListBytesMax = size_t{1} << 20;

struct AllowedKey {
  PublicKey key;
  std::vector<Role> roles;  // at least one, none twice, never coordinator
  std::string name;         // for people; may be empty
};

class AllowList {
 public:
  // InvalidArgument names the line: no key, a key that stands there twice, no role or an unknown
  // one; ResourceExhausted: beyond the bounds above.
  static absl::StatusOr<AllowList> Parse(std::string_view text);

  bool Knows(const PublicKey& key) const { return by_key_.contains(key); }
  bool Allows(const PublicKey& key, Role role) const;
  const std::vector<AllowedKey>& keys() const { return keys_; }  // in the order of the text

 private:
  std::vector<AllowedKey> keys_;
  std::unordered_map<PublicKey, size_t, KeyHash> by_key_;  // place in keys_
};

// "worker", "edge" or "relay". Absent: another word.
std::optional<Role> AllowedRoleOf(std::string_view word);
// The line of one key, without its end.
std::string LineOf(const AllowedKey& key);
// The text with the line of `key` taken out; absent when there is none.
std::optional<std::string> WithoutKey(std::string_view text, const PublicKey& key);

}  // namespace mortar
