// The cut of a text into pieces whose scores sum to the most: of all ways through the lattice of a
// Unigram vocabulary's pieces the best (Viterbi). Source: Kudo 2018 (subword regularization).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/text/piece_trie.h"

namespace mortar {

// Thread-safe after construction; each thread brings its own Scratch.
class UnigramLattice {
 public:
  struct Piece {
    std::string_view text;  // 1 to kScoredTokenBytesMax bytes of valid UTF-8
    int32_t token;
    double score;  // finite
  };
  // Memory of a Cut that the next one of the same lattice uses again.
  struct Scratch {
    std::vector<int32_t> ends;   // [bytes + 1] the token of the best way to here
    std::vector<double> scores;  // of the best ways to the next few bytes
    std::vector<int32_t> cut;
  };
  static constexpr int32_t kUnknown = -1;  // in place of a token: one character

  UnigramLattice() = default;
  // `texts` differ. `unknown_score` is that of a character that is no piece by itself.
  UnigramLattice(const std::vector<Piece>& pieces, int32_t n_vocab, double unknown_score);

  // The tokens of the best cut in the order of the text; among equals the one whose last piece
  // begins first, as SentencePiece keeps what it finds first. Needs: valid UTF-8. Linear in the
  // text, times the longest piece. Sums are of double precision: in the float of the library they
  // grow wrong with the length of the text.
  const std::vector<int32_t>& Cut(std::string_view text, Scratch* scratch) const;

 private:
  PieceTrie trie_;
  std::vector<double> scores_;   // [n_vocab]
  std::vector<uint16_t> bytes_;  // [n_vocab]
  double unknown_score_ = 0;
  size_t window_ = 0;  // more than the bytes of the longest piece; a power of two
};

}  // namespace mortar
