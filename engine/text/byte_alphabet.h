// GPT-2's byte alphabet: each byte is spelled as one printable character, so that a vocabulary
// of arbitrary bytes can be stored as text. Source: Radford et al. 2019, encoder.py.
#pragma once

#include <string>
#include <string_view>

namespace mortar {

// Appends the bytes that `spelled` stands for, and says whether every character was one of the
// alphabet; when not, `bytes` is as before.
bool DecodeByteAlphabet(std::string_view spelled, std::string* bytes);

}  // namespace mortar
