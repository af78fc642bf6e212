// What the tokenizer.json of a Unigram model does to a text before it is cut into pieces.
#pragma once

#include <string>
#include <vector>

#include "common/status.h"
#include "engine/hf/json.h"

namespace mortar {

// UnigramRules of engine/text/unigram_normalizer.h says what the fields mean.
struct UnigramPipeline {
  std::string charsmap;
  std::vector<std::string> steps;
  bool adds_space = false;
  bool adds_at_first = false;
  bool cuts_words = false;
};

// From the normaliser, the pre-tokenizer and the decoder. Unimplemented, with those known, for
// steps that are not computed; InvalidArgument for a charsmap that is no base64.
absl::StatusOr<UnigramPipeline> ReadUnigramPipeline(const Fields& file);

}  // namespace mortar
