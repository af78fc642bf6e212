#include "engine/text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "engine/text/utf8.h"

namespace mortar {
namespace {

constexpr int kAlphabetEnd = 0x144;  // the alphabet's characters are below U+0144

// Printable Latin-1 bytes stand for themselves; the other 68, in order, are U+0100 and on.
constexpr std::array<int16_t, kAlphabetEnd> MakeAlphabet() {
  std::array<int16_t, kAlphabetEnd> bytes{};
  for (auto& byte : bytes) byte = -1;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
    bytes[printable ? byte : next++] = static_cast<int16_t>(byte);
  }
  return bytes;
}
constexpr std::array<int16_t, kAlphabetEnd> kByteOfCharacter = MakeAlphabet();

}  // namespace

bool DecodeByteAlphabet(std::string_view spelled, std::string* bytes) {
  const size_t before = bytes->size();
  while (!spelled.empty()) {
    const Utf8Step step = NextUtf8(spelled);
    if (step.kind != Utf8Kind::kCharacter || step.code_point >= kAlphabetEnd ||
        kByteOfCharacter[step.code_point] < 0) {
      bytes->resize(before);
      return false;
    }
    bytes->push_back(static_cast<char>(kByteOfCharacter[step.code_point]));
    spelled.remove_prefix(step.bytes);
  }
  return true;
}

}  // namespace mortar
