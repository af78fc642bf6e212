// What Python's str does, on texts that keep the trust of each byte. All texts are valid UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "engine/text/jinja/text.h"
#include "engine/text/jinja/value.h"

namespace mortar::jinja {

enum class Side : uint8_t { kBoth, kLeft, kRight };

// Where `what` begins in `text` at or after `from`, or npos. Linear also for hostile text, where
// std::string::find is quadratic.
size_t FindBytes(std::string_view text, std::string_view what, size_t from = 0);
// The byte offset of character `index`, or the text's size when it has fewer.
size_t OffsetOf(std::string_view text, size_t index);
// Where the last character begins. Needs: not empty.
size_t LastCharacter(std::string_view text);

// Without white space at the ends, or without the characters of `taken`. ResourceExhausted for
// more than kTrimBytesMax of these.
absl::StatusOr<Text> Strip(const Text& text, const Text* taken, Side side);

// With the first `count` places of `from` (all, when negative) replaced. Unimplemented for an
// empty `from`; ResourceExhausted above kOutputBytesMax.
absl::StatusOr<Text> ReplaceText(const Text& text, const Text& from, const Text& to, int64_t count);

// The parts between separators, or between runs of white space where there is no separator; at
// most `splits` cuts (any number, when negative), taken from the right where `from_right`.
// InvalidArgument for an empty separator; ResourceExhausted above kListItemsMax.
absl::StatusOr<List> Split(const Text& text, const Text* separator, int64_t splits,
                           bool from_right);
absl::StatusOr<List> SplitLines(const Text& text, bool keep_ends);

// The items' texts with `separator` between. ResourceExhausted above kOutputBytesMax.
absl::StatusOr<Text> JoinTexts(const std::vector<Text>& texts, const Text& separator);
// `count` copies, none when negative; as bounded.
absl::StatusOr<Text> Repeat(const Text& text, int64_t count);

enum class Case : uint8_t {
  kUpper,
  kLower,
  kCapital,  // the first character upper, the others lower
  kTitle,    // str.title: upper after what is no letter
  kWords,    // jinja2's title: upper after white space and - ( { [ <
};
// Letters outside ASCII would need Unicode's tables: Unimplemented, never left as they are.
absl::StatusOr<Text> ToCase(const Text& text, Case wanted);

}  // namespace mortar::jinja
