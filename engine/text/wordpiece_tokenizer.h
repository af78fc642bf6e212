// WordPiece (GGUF's tokenizer model "bert": BERT, MiniLM, BGE), made from plain tables. A text is
// cleaned and cut into words, each word into the longest tokens from its left. Sources: Devlin et
// al. 2018; the BERT normalizer and pre-tokenizer of Hugging Face's tokenizers.
//
// A token that begins a word is spelled with U+2581 before it, one that continues a word without;
// here the mark is the space itself.
#pragma once

#include <memory>

#include "common/status.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"

namespace mortar {

// Does: checks the tables and builds what Encode needs. It copies. Control characters are left
// out of a text, every Han character and punctuation mark is a word; case and accents go as
// `lowers` and `strips_accents` say. A word that cannot be spelled, or is longer than
// kWordCharactersMax, is the unknown token. Bytes of the tokens give a text with its words, not
// the text itself.
// Errors: InvalidArgument, naming the GGUF key and the index, for what TokenTable::Build refuses,
// tokens above kScoredTokenBytesMax, and a vocabulary without an unknown token.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeWordPieceTokenizer(const Vocabulary& vocabulary,
                                                                  bool lowers, bool strips_accents);

}  // namespace mortar
