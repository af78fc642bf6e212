// SentencePiece's Unigram model (GGUF's tokenizer model "t5": T5, XLM-R, mBART, BGE-M3), made from
// plain tables. A text is normalised, and cut into the pieces whose scores, which are logarithms of
// probabilities, sum to the most. Sources: Kudo 2018 (subword regularization); SentencePiece.
//
// As in sentencepiece_tokenizer.h, tokens and texts hold a space where the vocabulary has U+2581.
#pragma once

#include <memory>

#include "common/status.h"
#include "engine/text/tokenizer.h"
#include "engine/text/unigram_normalizer.h"
#include "engine/text/vocabulary.h"

namespace mortar {

// Does: checks the tables against one another and builds what Encode needs. It copies.
//   A character that is no piece by itself costs ten less than the worst piece. Where the best cut
//   has such characters, they become the tokens of their bytes, or where the vocabulary has none a
//   run of them becomes the one unknown token.
//   Control tokens count in trusted text alone. User-defined tokens are pieces of ordinary text
//   that cost almost nothing, except those that look like the marks of a conversation: these are
//   treated as control tokens.
//   Each stretch between special tokens is normalised for itself.
// Errors: InvalidArgument, naming the GGUF key and the index, for what TokenTable::Build, Fallback,
// CheckScores and UnigramNormalizer::Make refuse, tokens above kScoredTokenBytesMax and pieces
// above kUnigramPieceBytesMax together. Encode: ResourceExhausted also for a text that is above
// kNormalizedBytesMax when it is normalised.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeUnigramTokenizer(const Vocabulary& vocabulary,
                                                                UnigramRules rules);

}  // namespace mortar
