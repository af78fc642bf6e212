#include "engine/text/joined_text.h"

#include <algorithm>

#include "engine/text/limits.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

using Found = SpecialTokens::Found;

// The next special token of trusted stretches, asked for with ascending offsets.
class TrustedSearch {
 public:
  TrustedSearch(const JoinedText& joined, const SpecialTokens& tokens)
      : text_(joined.text),
        tokens_(tokens),
        stretch_(joined.trusted.begin()),
        end_(joined.trusted.end()) {}

  Found Find(size_t from) {
    for (; stretch_ != end_; ++stretch_) {
      if (stretch_->second <= from) continue;
      const Found found =
          tokens_.Find(text_.substr(0, stretch_->second), std::max(from, stretch_->first));
      if (found.bytes > 0) return found;
    }
    return {};
  }

 private:
  using Stretch = std::vector<std::pair<size_t, size_t>>::const_iterator;
  const std::string_view text_;
  const SpecialTokens& tokens_;
  Stretch stretch_;
  const Stretch end_;
};

// Whether `a` is taken before `b`.
bool Precedes(const Found& a, const Found& b) {
  if (a.bytes == 0 || b.bytes == 0) return a.bytes > 0;
  return a.at != b.at ? a.at < b.at : a.bytes > b.bytes;
}

}  // namespace

absl::StatusOr<JoinedText> Join(const std::vector<TextPiece>& pieces) {
  size_t bytes = 0;
  for (const TextPiece& piece : pieces) {
    if (piece.text.size() > kEncodeBytesMax - bytes) {
      return ResourceExhausted("a text to encode has more than " + std::to_string(kEncodeBytesMax) +
                               " bytes");
    }
    bytes += piece.text.size();
  }
  JoinedText joined;
  std::string& text = joined.text;
  text.reserve(bytes);
  for (const TextPiece& piece : pieces) {
    if (piece.trusted && !piece.text.empty()) {
      auto& trusted = joined.trusted;
      if (trusted.empty() || trusted.back().second != text.size()) {
        trusted.push_back({text.size(), text.size()});
      }
      trusted.back().second += piece.text.size();
    }
    text += piece.text;
  }
  if (const auto at = FindInvalidUtf8(text)) {
    return InvalidArgument("the text is not valid UTF-8 at byte " + std::to_string(*at));
  }
  return joined;
}

// A found token is kept until the text before it is done: each index reads a byte once.
absl::Status CutAtSpecials(const JoinedText& joined, const SpecialTokens& in_trusted,
                           const SpecialTokens& anywhere,
                           const std::function<absl::Status(std::string_view, Token)>& visit) {
  const std::string_view text = joined.text;
  TrustedSearch search(joined, in_trusted);
  size_t done = 0;
  Found trusted = search.Find(0);
  Found plain = anywhere.Find(text, 0);
  for (;;) {
    if (trusted.bytes > 0 && trusted.at < done) trusted = search.Find(done);
    if (plain.bytes > 0 && plain.at < done) plain = anywhere.Find(text, done);
    const Found& next = Precedes(plain, trusted) ? plain : trusted;
    if (next.bytes == 0) break;
    RETURN_IF_ERROR(visit(text.substr(done, next.at - done), next.token));
    done = next.at + next.bytes;
  }
  return visit(text.substr(done), -1);
}

}  // namespace mortar
