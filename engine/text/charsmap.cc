#include "engine/text/charsmap.h"

#include <algorithm>

#include "engine/text/limits.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

constexpr char kKey[] = "tokenizer.ggml.precompiled_charsmap";

// The parts of a unit. A value's unit has the highest bit set, which no label of a byte has.
bool HasValue(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t LabelOf(uint32_t unit) { return unit & 0x800000FFu; }
uint32_t OffsetOf(uint32_t unit) { return (unit >> 10) << ((unit >> 6) & 8); }
bool IsValue(uint32_t unit) { return unit >> 31 != 0; }
uint32_t ValueOf(uint32_t unit) { return unit & 0x7FFFFFFFu; }

uint32_t LittleEndian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

absl::Status Wrong(const std::string& what) {
  return InvalidArgument(std::string(kKey) + " " + what);
}

}  // namespace

absl::StatusOr<CharsMap> CharsMap::Make(std::string_view blob) {
  CharsMap map;
  if (blob.empty()) return map;
  if (blob.size() > kCharsMapBytesMax) {
    return Wrong("has " + std::to_string(blob.size()) + " bytes, expected at most " +
                 std::to_string(kCharsMapBytesMax));
  }
  if (blob.size() < 4) {
    return Wrong("has " + std::to_string(blob.size()) + " bytes, expected 4 that say its trie's");
  }
  const uint32_t trie_bytes = LittleEndian(blob);
  blob.remove_prefix(4);
  if (trie_bytes % 4 != 0 || trie_bytes > blob.size()) {
    return Wrong("says that its trie has " + std::to_string(trie_bytes) +
                 " bytes, expected a multiple of 4 up to the " + std::to_string(blob.size()) +
                 " that follow");
  }
  map.units_.reserve(trie_bytes / 4);
  for (size_t at = 0; at < trie_bytes; at += 4) {
    map.units_.push_back(LittleEndian(blob.substr(at)));
  }
  map.replacements_ = blob.substr(trie_bytes);
  if (map.units_.empty()) return map;
  if (map.replacements_.empty() || map.replacements_.back() != '\0') {
    return Wrong("does not end with the zero byte of its last replacement");
  }
  if (const auto at = FindInvalidUtf8(map.replacements_)) {
    return Wrong("has replacements that are not valid UTF-8 at byte " + std::to_string(*at));
  }
  RETURN_IF_ERROR(map.CheckValues());
  return map;
}

// Every unit that says it has a value, whether a search reaches it or not.
absl::Status CharsMap::CheckValues() const {
  for (uint32_t i = 0; i < units_.size(); ++i) {
    if (IsValue(units_[i]) || !HasValue(units_[i])) continue;
    const uint32_t at = i ^ OffsetOf(units_[i]);
    if (at >= units_.size() || !IsValue(units_[at])) {
      return Wrong("has a trie whose unit " + std::to_string(i) + " points at unit " +
                   std::to_string(at) + ", expected one of the " + std::to_string(units_.size()) +
                   " that holds a value");
    }
    const uint32_t value = ValueOf(units_[at]);
    const bool outside = value >= replacements_.size();
    if (outside || (static_cast<uint8_t>(replacements_[value]) & 0xC0) == 0x80) {
      return Wrong("has a trie whose unit " + std::to_string(at) + " is offset " +
                   std::to_string(value) + ", expected the beginning of a character in the " +
                   std::to_string(replacements_.size()) + " bytes of replacements");
    }
  }
  return absl::OkStatus();
}

CharsMap::Match CharsMap::Longest(std::string_view text) const {
  Match match;
  if (units_.empty()) return match;
  uint32_t value = 0;
  uint32_t at = OffsetOf(units_[0]);
  const size_t end = std::min(text.size(), kCharsMapKeyBytesMax);
  for (size_t i = 0; i < end; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || LabelOf(units_[at]) != byte) break;
    const uint32_t unit = units_[at];
    at ^= OffsetOf(unit);
    if (!HasValue(unit)) continue;
    match.bytes = i + 1;
    value = ValueOf(units_[at]);
  }
  if (match.bytes > 0) match.replacement = replacements_.c_str() + value;
  return match;
}

}  // namespace mortar
