// Values one behind the other, as what is hashed, signed or bound to a seal: numbers little-endian,
// so that the bytes are the same on every machine. For seal.cc and grant.cc alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/check.h"
#include "protocol/ids.h"

namespace mortar {

// At most kBytesMax of them (CHECKed).
template <size_t kBytesMax>
class Packed {
 public:
  template <typename T>
  Packed& Add(T value) {
    for (size_t i = 0; i < sizeof value; ++i) {
      AddByte(static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i)));
    }
    return *this;
  }
  template <size_t n>
  Packed& Add(const std::array<uint8_t, n>& bytes) {
    for (const uint8_t byte : bytes) AddByte(byte);
    return *this;
  }
  Packed& Add(const SessionId& id) { return Add(id.bytes); }
  // With its length before it: what follows cannot be taken for a part of it.
  Packed& AddText(std::string_view text) {
    Add(static_cast<uint32_t>(text.size()));
    for (const char c : text) AddByte(static_cast<uint8_t>(c));
    return *this;
  }
  const uint8_t* data() const { return bytes_.data(); }
  size_t size() const { return size_; }

 private:
  void AddByte(uint8_t byte) {
    CHECK(size_ < bytes_.size());
    bytes_[size_++] = byte;
  }

  std::array<uint8_t, kBytesMax> bytes_{};
  size_t size_ = 0;
};

}  // namespace mortar
