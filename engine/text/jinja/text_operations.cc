#include "engine/text/jinja/text_operations.h"

#include <algorithm>
#include <cstring>

#include "engine/text/jinja/limits.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

absl::Status TooLong() {
  return ResourceExhausted("a text has more than " + std::to_string(kOutputBytesMax) + " bytes");
}

absl::Status TooManyParts() {
  return ResourceExhausted("splitting gives more than " + std::to_string(kListItemsMax) + " parts");
}

absl::Status Add(const Text& text, size_t begin, size_t end, List* parts) {
  if (parts->size() == kListItemsMax) return TooManyParts();
  parts->push_back(text.Slice(begin, end));
  return absl::OkStatus();
}

// Bytes of the white space, or of the rest of a word, that `text` begins with.
size_t SpanOf(std::string_view text, bool space) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = NextUtf8(text.substr(at));
    if (IsPythonSpace(step.code_point) != space) break;
    at += step.bytes;
  }
  return at;
}

// Where the words of `text` begin and end: the first n of them.
absl::StatusOr<std::vector<std::pair<size_t, size_t>>> Words(std::string_view text, uint64_t n) {
  std::vector<std::pair<size_t, size_t>> words;
  for (size_t at = SpanOf(text, true); at < text.size() && words.size() < n;) {
    if (words.size() == kListItemsMax) return TooManyParts();
    const size_t end = at + SpanOf(text.substr(at), false);
    words.emplace_back(at, end);
    at = end + SpanOf(text.substr(end), true);
  }
  return words;
}

absl::StatusOr<List> SplitWords(const Text& text, int64_t splits, bool from_right) {
  const bool few = splits >= 0 && !from_right;
  ASSIGN_OR_RETURN(const auto words,
                   Words(text.bytes(), few ? static_cast<uint64_t>(splits) + 1 : UINT64_MAX));
  const size_t n = words.size();
  const bool all = splits < 0 || static_cast<uint64_t>(splits) >= n;
  const size_t cuts = all ? n : static_cast<size_t>(splits);
  List parts;
  // What is left uncut is one part, as far as the text's end: but no white space ends it there.
  if (!all && from_right) RETURN_IF_ERROR(Add(text, 0, words[n - cuts - 1].second, &parts));
  const size_t first = from_right ? n - cuts : 0;
  for (size_t i = first; i < first + cuts; ++i) {
    RETURN_IF_ERROR(Add(text, words[i].first, words[i].second, &parts));
  }
  if (!all && !from_right) RETURN_IF_ERROR(Add(text, words[cuts].first, text.size(), &parts));
  return parts;
}

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Whether a character is upper case where `previous` (-1 at the beginning) stands before it.
bool IsRaised(Case wanted, int previous) {
  switch (wanted) {
    case Case::kUpper:
      return true;
    case Case::kLower:
      return false;
    case Case::kCapital:
      return previous < 0;
    case Case::kTitle:
      return previous < 0 || !IsLetter(static_cast<char>(previous));
    case Case::kWords:
      break;
  }
  return previous < 0 || IsPythonSpace(static_cast<char32_t>(previous)) ||
         std::string_view("-({[<").find(static_cast<char>(previous)) != std::string_view::npos;
}

// Whether lines end before this character, as str.splitlines has it.
bool IsLineEnd(char32_t c) {
  return (c >= 0xA && c <= 0xD) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

size_t FindBytes(std::string_view text, std::string_view what, size_t from) {
  const void* const hit = memmem(text.data() + from, text.size() - from, what.data(), what.size());
  return hit == nullptr ? std::string_view::npos
                        : static_cast<size_t>(static_cast<const char*>(hit) - text.data());
}

size_t OffsetOf(std::string_view text, size_t index) {
  size_t at = 0;
  while (index > 0 && at < text.size()) {
    at += NextUtf8(text.substr(at)).bytes;
    --index;
  }
  return at;
}

size_t LastCharacter(std::string_view text) {
  size_t at = text.size() - 1;
  while ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

absl::StatusOr<Text> Strip(const Text& text, const Text* taken, Side side) {
  const std::string_view view = text.bytes();
  size_t begin = 0;
  size_t end = view.size();
  if (taken == nullptr) {
    if (side != Side::kRight) begin = LeadingSpaceBytes(view);
    if (side != Side::kLeft && begin < end) end -= TrailingSpaceBytes(view);
    return text.Slice(begin, end);
  }
  if (taken->size() > kTrimBytesMax) {
    return ResourceExhausted("stripping takes at most " + std::to_string(kTrimBytesMax) + " bytes");
  }
  const auto is_taken = [&](size_t at, size_t bytes) {
    return taken->bytes().find(view.substr(at, bytes)) != std::string::npos;
  };
  while (side != Side::kRight && begin < end) {
    const size_t bytes = NextUtf8(view.substr(begin)).bytes;
    if (!is_taken(begin, bytes)) break;
    begin += bytes;
  }
  while (side != Side::kLeft && end > begin) {
    const size_t last = LastCharacter(view.substr(0, end));
    if (!is_taken(last, end - last)) break;
    end = last;
  }
  return text.Slice(begin, end);
}

absl::StatusOr<Text> ReplaceText(const Text& text, const Text& from, const Text& to,
                                 int64_t count) {
  if (from.size() == 0) return Unimplemented("replacing an empty text is not supported");
  Text out;
  size_t at = 0;
  for (;;) {
    const size_t hit = count == 0 ? std::string::npos : FindBytes(text.bytes(), from.bytes(), at);
    const size_t found = std::min(hit, text.size());
    if (out.size() + (found - at) + to.size() > kOutputBytesMax) return TooLong();
    out.AppendSlice(text, at, found);
    if (hit == std::string::npos) return out;
    out.Append(to);
    at = found + from.size();
    if (count > 0) --count;
  }
}

absl::StatusOr<List> Split(const Text& text, const Text* separator, int64_t splits,
                           bool from_right) {
  if (separator == nullptr) return SplitWords(text, splits, from_right);
  if (separator->size() == 0) return InvalidArgument("empty separator");
  const std::string_view view = text.bytes();
  List parts;
  if (from_right && splits >= 0) {
    if (separator->size() > kTrimBytesMax) {  // each is looked for byte by byte
      return ResourceExhausted("rsplit takes at most " + std::to_string(kTrimBytesMax) + " bytes");
    }
    size_t end = view.size();
    for (; splits > 0; --splits) {
      const size_t hit = view.substr(0, end).rfind(separator->bytes());
      if (hit == std::string_view::npos) break;
      RETURN_IF_ERROR(Add(text, hit + separator->size(), end, &parts));
      end = hit;
    }
    RETURN_IF_ERROR(Add(text, 0, end, &parts));
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  size_t at = 0;
  while (splits != 0) {
    const size_t hit = FindBytes(view, separator->bytes(), at);
    if (hit == std::string_view::npos) break;
    RETURN_IF_ERROR(Add(text, at, hit, &parts));
    at = hit + separator->size();
    if (splits > 0) --splits;
  }
  RETURN_IF_ERROR(Add(text, at, view.size(), &parts));
  return parts;
}

absl::StatusOr<List> SplitLines(const Text& text, bool keep_ends) {
  const std::string_view view = text.bytes();
  List lines;
  size_t begin = 0;
  for (size_t at = 0; at < view.size();) {
    const Utf8Step step = NextUtf8(view.substr(at));
    const size_t end = at;
    at += step.bytes;
    if (!IsLineEnd(step.code_point)) continue;
    if (step.code_point == '\r' && at < view.size() && view[at] == '\n') ++at;
    RETURN_IF_ERROR(Add(text, begin, keep_ends ? at : end, &lines));
    begin = at;
  }
  if (begin < view.size()) RETURN_IF_ERROR(Add(text, begin, view.size(), &lines));
  return lines;
}

absl::StatusOr<Text> JoinTexts(const std::vector<Text>& texts, const Text& separator) {
  Text out;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (out.size() + separator.size() + texts[i].size() > kOutputBytesMax) return TooLong();
    if (i > 0) out.Append(separator);
    out.Append(texts[i]);
  }
  return out;
}

absl::StatusOr<Text> Repeat(const Text& text, int64_t count) {
  Text out;
  if (count <= 0 || text.size() == 0) return out;
  if (static_cast<uint64_t>(count) > kOutputBytesMax / text.memory_bytes()) return TooLong();
  for (; count > 0; --count) out.Append(text);
  return out;
}

absl::StatusOr<Text> ToCase(const Text& text, Case wanted) {
  std::string bytes = text.bytes();
  int previous = -1;
  for (char& c : bytes) {
    if (static_cast<uint8_t>(c) >= 0x80) {
      return Unimplemented("upper and lower case are supported for ASCII text alone");
    }
    c = IsRaised(wanted, std::exchange(previous, c)) ? Upper(c) : Lower(c);
  }
  Text out = text;
  out.ReplaceBytes(std::move(bytes));
  return out;
}

}  // namespace mortar::jinja
