#include "common/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "common/check.h"

namespace mortar {

std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> c, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

float UniformDraw(uint64_t seed, uint32_t choice, uint64_t output_index, uint32_t draw) {
  const std::array<uint32_t, 4> bits =
      Philox({static_cast<uint32_t>(output_index), static_cast<uint32_t>(output_index >> 32),
              choice, draw},
             seed);
  return static_cast<float>(bits[0] >> 8) * 0x1p-24f;
}

void SystemRandom::Fill(uint8_t* bytes, int n) {
  int filled = 0;
  while (filled < n) {
    const ssize_t got = getrandom(bytes + filled, static_cast<size_t>(n - filled), 0);
    if (got < 0) {
      CHECK(errno == EINTR);
      continue;
    }
    filled += static_cast<int>(got);
  }
}

void SeededRandom::Fill(uint8_t* bytes, int n) {
  for (int i = 0; i < n; i += 16) {
    const std::array<uint32_t, 4> bits =
        Philox({static_cast<uint32_t>(next_), static_cast<uint32_t>(next_ >> 32), 0, 0}, seed_);
    ++next_;
    std::memcpy(bytes + i, bits.data(), static_cast<size_t>(n - i < 16 ? n - i : 16));
  }
}

}  // namespace mortar
