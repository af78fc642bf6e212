// An input of a fuzz target that is messages one after the other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "protocol/wire.h"

namespace mortar {

// Calls take(who, message) for each: a byte `who` that the target gives a meaning, two bytes of
// length in words, the words. What is no message is left out.
template <typename Take>
void ForEachMessage(const uint8_t* data, size_t size, Take take) {
  constexpr size_t kBefore = 3;
  while (size >= kBefore) {
    const uint8_t who = data[0];
    const size_t n_words =
        std::min<size_t>(data[1] | data[2] << 8, (size - kBefore) / sizeof(uint64_t));
    std::vector<uint64_t> words(n_words);
    if (n_words > 0) std::memcpy(words.data(), data + kBefore, n_words * sizeof(uint64_t));
    data += kBefore + n_words * sizeof(uint64_t);
    size -= kBefore + n_words * sizeof(uint64_t);
    auto read = ReadMessage(words);
    if (read.ok()) take(who, std::move(read->message));
  }
}

}  // namespace mortar
