// The pieces of one Encode as one text, cut at its special tokens.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status.h"
#include "engine/text/special_tokens.h"
#include "engine/text/tokenizer.h"

namespace mortar {

// Pieces are joined before they are tokenized: the model's author cut the whole text, so plain
// text runs over the border between a template's text and a message's.
struct JoinedText {
  std::string text;                                // valid UTF-8
  std::vector<std::pair<size_t, size_t>> trusted;  // maximal stretches, [begin, end), ascending
};

// Errors: ResourceExhausted above kEncodeBytesMax; InvalidArgument, with the offset, when the
// whole is not valid UTF-8.
absl::StatusOr<JoinedText> Join(const std::vector<TextPiece>& pieces);

// Calls `visit` with each plain stretch, perhaps empty, and the special token that follows it;
// -1 after the last. Tokens of `in_trusted` count where they lie within one trusted stretch,
// those of `anywhere` in the whole text; the leftmost counts, and the longest where several
// begin. Errors: those of `visit`.
absl::Status CutAtSpecials(const JoinedText& joined, const SpecialTokens& in_trusted,
                           const SpecialTokens& anywhere,
                           const std::function<absl::Status(std::string_view, Token)>& visit);

}  // namespace mortar
