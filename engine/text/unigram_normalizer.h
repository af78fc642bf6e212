// What becomes of a text before a Unigram vocabulary cuts it: characters are replaced, spaces are
// merged, and one is put in front. Two rules say so: SentencePiece's own, by three settings, and
// a list of steps, as a tokenizer.json of Hugging Face's tokenizers has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "engine/text/charsmap.h"
#include "engine/text/piece_trie.h"

namespace mortar {

// Steps are written as texts, those with an argument as several. This engine's own key,
// tokenizer.ggml.normalizer.steps, holds them; files of others have no such key.
namespace normalizer_steps {
inline constexpr char kCharsMap[] = "charsmap";  // by precompiled_charsmap
inline constexpr char kNmt[] = "nmt";            // control characters go, odd spaces become spaces
inline constexpr char kNfc[] = "nfc";            // Unicode's normal forms
inline constexpr char kNfd[] = "nfd";
inline constexpr char kNfkc[] = "nfkc";
inline constexpr char kNfkd[] = "nfkd";
inline constexpr char kLowercase[] = "lowercase";
inline constexpr char kStripLeft[] = "strip_left";  // white space
inline constexpr char kStripRight[] = "strip_right";
inline constexpr char kMergeSpaces[] = "merge_spaces";  // and by what: two or more become that
inline constexpr char kReplace[] = "replace";           // and what, and by what
// White space becomes one space between words and none at the ends.
inline constexpr char kSplitWords[] = "split_words";
}  // namespace normalizer_steps

struct UnigramRules {
  std::string charsmap;              // as CharsMap::Make reads it; empty: nothing is replaced
  bool removes_extra_spaces = true;  // SentencePiece's: runs become one, those at the ends go
  std::vector<std::string> steps;
  bool has_steps = false;      // then these are done in place of SentencePiece's own rule
  bool adds_space = true;      // in front; with steps, only where none stands there
  bool adds_at_first = false;  // with steps: only at the beginning of the text
  bool cuts_words = false;     // no piece crosses a space from the left; each word is cut alone
};

// Thread-safe after Make.
class UnigramNormalizer {
 public:
  // `whole` are texts that SentencePiece's own rule keeps as they are (user-defined tokens, spelled
  // as in the file); it copies them. Errors: InvalidArgument for a broken charsmap, and for steps
  // that are not known or lack an argument.
  static absl::StatusOr<UnigramNormalizer> Make(UnigramRules rules,
                                                const std::vector<std::string_view>& whole);

  // The text with the mark of a space as the space. Needs: valid UTF-8; gives such. `is_first`:
  // it is the beginning of the whole text. `bytes_left` is what an Encode may still make of its
  // text; it takes from it. Errors: ResourceExhausted when that does not suffice.
  absl::StatusOr<std::string> Normalize(std::string_view text, bool is_first,
                                        size_t* bytes_left) const;

  const UnigramRules& rules() const { return rules_; }

 private:
  // What the beginning of a text becomes.
  struct Prefix {
    size_t bytes;
    std::string_view replacement;
  };

  absl::Status CheckSteps() const;
  Prefix First(std::string_view text) const;
  Prefix Mapped(std::string_view text) const;
  absl::Status AppendSentencePieces(std::string_view text, size_t bytes_max,
                                    std::string* out) const;
  absl::Status AppendMapped(std::string_view text, size_t bytes_max, std::string* out) const;
  absl::Status DoSteps(size_t bytes_max, std::string* text) const;

  UnigramRules rules_;
  CharsMap charsmap_;
  PieceTrie whole_;
};

}  // namespace mortar
