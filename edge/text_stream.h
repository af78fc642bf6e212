// From sampled tokens to the text that a client may see: whole characters, and nothing that
// might yet turn out to be the beginning of a stop string.
#pragma once

#include <string>
#include <vector>

#include "engine/text/tokenizer.h"

namespace mortar {

class TextStream {
 public:
  // `tokenizer` outlives the stream. Stop strings are not empty.
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops);

  // The text that this token releases. After a stop string was met, `stopped()` is true, the
  // text before it has been released, and it and what follows never are.
  std::string Push(Token token);
  // The rest, when the generation ends for another reason.
  std::string Finish();
  bool stopped() const { return stopped_; }

 private:
  std::string Release(bool all);

  Detokenizer detokenizer_;
  std::vector<std::string> stops_;
  std::string held_;  // whole characters not yet released
  bool stopped_ = false;
};

}  // namespace mortar
