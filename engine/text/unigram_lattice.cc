// A way is known by its last piece: from each end the pieces lead back to the beginning. Scores are
// needed no further ahead than the longest piece, so they go round in a window, and a byte of text
// costs four bytes of memory.
#include "engine/text/unigram_lattice.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "engine/text/utf8.h"

namespace mortar {
namespace {

constexpr double kNoWay = -std::numeric_limits<double>::infinity();

// Bytes of the character that ends a text.
size_t LastCharacterBytes(std::string_view text) {
  size_t bytes = 1;
  while ((static_cast<uint8_t>(text[text.size() - bytes]) & 0xC0) == 0x80) ++bytes;
  return bytes;
}

}  // namespace

UnigramLattice::UnigramLattice(const std::vector<Piece>& pieces, int32_t n_vocab,
                               double unknown_score)
    : scores_(n_vocab), bytes_(n_vocab), unknown_score_(unknown_score) {
  size_t longest = 4;  // of an unknown character
  std::vector<PieceTrie::Entry> entries;
  entries.reserve(pieces.size());
  for (const Piece& piece : pieces) {
    entries.push_back({piece.text, piece.token});
    scores_[piece.token] = piece.score;
    bytes_[piece.token] = static_cast<uint16_t>(piece.text.size());
    longest = std::max(longest, piece.text.size());
  }
  trie_ = PieceTrie(std::move(entries));
  window_ = std::bit_ceil(longest + 1);
}

const std::vector<int32_t>& UnigramLattice::Cut(std::string_view text, Scratch* scratch) const {
  const size_t mask = window_ - 1;
  std::vector<int32_t>& ends = scratch->ends;
  std::vector<double>& scores = scratch->scores;
  ends.resize(std::max(ends.size(), text.size() + 1));
  if (scores.size() != window_) scores.assign(window_, kNoWay);
  scores[0] = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t character = NextUtf8(text.substr(at)).bytes;
    const double so_far = scores[at & mask];
    bool is_piece = false;
    const auto offer = [&](size_t bytes, int32_t token, double score) {
      double& best = scores[(at + bytes) & mask];
      if (so_far + score <= best) return;
      best = so_far + score;
      ends[at + bytes] = token;
    };
    trie_.ForPrefixes(text.substr(at), [&](size_t bytes, int32_t token) {
      is_piece |= bytes == character;
      offer(bytes, token, scores_[token]);
    });
    if (!is_piece) offer(character, kUnknown, unknown_score_);
    for (const size_t end = at + character; at < end; ++at) scores[at & mask] = kNoWay;
  }
  scores[text.size() & mask] = kNoWay;  // the others are
  std::vector<int32_t>& cut = scratch->cut;
  cut.clear();
  for (size_t at = text.size(); at > 0;) {
    cut.push_back(ends[at]);
    at -= ends[at] == kUnknown ? LastCharacterBytes(text.substr(0, at)) : bytes_[ends[at]];
  }
  std::reverse(cut.begin(), cut.end());
  return cut;
}

}  // namespace mortar
