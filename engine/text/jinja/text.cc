#include "engine/text/jinja/text.h"

#include <algorithm>

#include "common/check.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {

void Text::Append(std::string_view bytes, bool trusted) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().trusted == trusted) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), trusted});
  }
}

void Text::AppendSlice(const Text& other, size_t begin, size_t end) {
  CHECK(begin <= end && end <= other.size());
  const std::string_view view = other.bytes_;
  auto run = std::upper_bound(other.runs_.begin(), other.runs_.end(), begin,
                              [](size_t at, const Run& r) { return at < r.end; });
  while (begin < end) {
    const size_t stop = std::min(end, run->end);
    Append(view.substr(begin, stop - begin), run->trusted);
    begin = stop;
    ++run;
  }
}

Text Text::Slice(size_t begin, size_t end) const {
  Text out;
  out.AppendSlice(*this, begin, end);
  return out;
}

void Text::ReplaceBytes(std::string bytes) {
  CHECK(bytes.size() == bytes_.size());
  bytes_ = std::move(bytes);
}

bool IsPythonSpace(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

size_t LeadingSpaceBytes(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = NextUtf8(text.substr(at));
    if (step.kind != Utf8Kind::kCharacter || !IsPythonSpace(step.code_point)) break;
    at += step.bytes;
  }
  return at;
}

size_t TrailingSpaceBytes(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
    const Utf8Step step = NextUtf8(text.substr(begin, end - begin));
    if (step.kind != Utf8Kind::kCharacter || !IsPythonSpace(step.code_point)) break;
    end = begin;
  }
  return text.size() - end;
}

}  // namespace mortar::jinja
