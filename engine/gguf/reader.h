// A cursor over bytes that cannot leave them, and how untrusted names are quoted in messages.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"

namespace mortar {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place, little endian");

// Reads little-endian values one after another. Each read either succeeds whole or leaves the
// cursor where it was and returns DataLoss, saying where the bytes end. The bytes must outlive
// the reader and the string_views that it hands out.
class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  template <typename T>
  absl::Status Read(T* value) {
    if (remaining() < sizeof(T)) return Ended(sizeof(T));
    std::memcpy(value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return absl::OkStatus();
  }

  // A string as GGUF stores it: a 64-bit length, then the characters. ResourceExhausted when it
  // is longer than `bytes_max`.
  absl::Status ReadString(uint64_t bytes_max, std::string_view* text);

  // The next `n` bytes.
  absl::Status ReadBytes(uint64_t n, std::span<const uint8_t>* bytes);

 private:
  absl::Status Ended(uint64_t wanted) const;

  std::span<const uint8_t> bytes_;
  uint64_t offset_ = 0;
};

// 'text' for a message: what is not printable ASCII as \xNN, and cut where it is long, so that a
// hostile name can neither forge a line nor flood one.
std::string Quoted(std::string_view text);

// Whether a name consists of printable ASCII without spaces, and has at least one character.
bool IsPlainName(std::string_view name);

}  // namespace mortar
