// SentencePiece's BPE (GGUF's tokenizer model "llama": Llama 2, Mistral, Gemma, Phi-3), made from
// plain tables. There is no pre-tokenizer: the whole text is one sequence of characters, and of
// all neighbouring pairs whose text is a token the one of the highest score is joined, the
// leftmost among equals. Source: Kudo and Richardson 2018 (SentencePiece).
//
// A space is spelled U+2581 in the vocabulary. Here tokens and texts hold the space itself; the
// two characters are one in texts too, as in the library.
#pragma once

#include <memory>

#include "common/status.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"

namespace mortar {

// Does: checks the tables against one another and builds what Encode needs. It copies.
//   Control tokens count in trusted text alone. User-defined tokens are pieces of ordinary text
//   (runs of spaces, HTML tags) and count everywhere, except those that look like the marks of a
//   conversation (<|...|>, <start_of_turn>, [INST], ...): these are treated as control tokens.
//   A character that has no token becomes the tokens of its bytes, where the vocabulary has such;
//   otherwise a run of such characters becomes the one unknown token.
// Errors: InvalidArgument, naming the GGUF key and the index, for what TokenTable::Build refuses,
// scores that are not one finite number a token, byte tokens that are not <0x00> to <0xFF> once
// each, tokens above kScoredTokenBytesMax, and a vocabulary with neither bytes nor unknown token.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeSentencePieceTokenizer(const Vocabulary& vocabulary);

}  // namespace mortar
