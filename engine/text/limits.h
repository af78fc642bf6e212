// The bounds of engine/text, each with its unit and its reason. Reaching one is an error that
// names it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mortar {

// Text of one Encode. A context of a million tokens is about 5 MB; the rest is somebody's abuse.
inline constexpr size_t kEncodeBytesMax = size_t{64} << 20;

// Tokens of one vocabulary: the largest public ones have about 262,000.
inline constexpr size_t kVocabularyTokensMax = size_t{1} << 22;

// Bytes of all token texts together, so that an offset fits 32 bits.
inline constexpr size_t kVocabularyBytesMax = size_t{1} << 30;

// Text of one special token. Finding them costs at most this many steps a byte of text.
inline constexpr size_t kSpecialTokenBytesMax = 1024;

// Text of one token of a SentencePiece or WordPiece vocabulary. Looking one up costs its length.
inline constexpr size_t kScoredTokenBytesMax = 1024;

// Text of all pieces of a Unigram vocabulary, which is kept as a trie of up to 12 bytes a byte. The
// largest public vocabularies have 4 MB.
inline constexpr size_t kUnigramPieceBytesMax = size_t{64} << 20;

// SentencePiece's table of replaced characters. The library's own have 240 KB.
inline constexpr size_t kCharsMapBytesMax = size_t{8} << 20;

// Text that one entry of that table replaces; the library's own entries have up to 18 bytes. It is
// what a search costs at each byte of a text.
inline constexpr size_t kCharsMapKeyBytesMax = 256;

// Text of one Encode after such replacements. Normal form KC makes up to 11 bytes of one, where a
// text is nothing but U+FDFA; in use a text grows by some percent.
inline constexpr size_t kNormalizedBytesMax = 4 * kEncodeBytesMax;

// Steps of a Unigram vocabulary's normaliser, arguments included. Files in use have seven.
inline constexpr size_t kNormalizerStepsMax = 256;

// Characters of a word that WordPiece spells; a longer one is unknown, as the models were trained.
inline constexpr size_t kWordCharactersMax = 100;

// Steps of one search of the pre-tokenizer's pattern, as PCRE2 counts them where it has no
// just-in-time compiler. A run of white space costs a few steps a character.
inline constexpr uint32_t kPatternStepsMax = 1u << 30;

}  // namespace mortar
