// What a tokenizer.json does to a text before its tokens are looked for.
#pragma once

#include <string>
#include <vector>

#include "common/status.h"
#include "engine/hf/json.h"

namespace mortar {

struct Pipeline {
  bool byte_level = false;    // else SentencePiece's
  std::string pre_tokenizer;  // byte-level: a name that PreTokenizer::Make knows
  bool adds_space = false;    // SentencePiece's: a space in front of plain text
};

// The steps of a normaliser, a pre-tokenizer or a decoder: those of a sequence, which calls them
// `list_name`, or itself, or none.
absl::StatusOr<std::vector<Fields>> StepsOf(const Fields& file, const char* name,
                                            const char* list_name);

// From the normaliser, the pre-tokenizer and the model of a BPE's tokenizer.json. Unimplemented,
// with those known, for steps that neither kind of BPE has.
absl::StatusOr<Pipeline> ReadPipeline(const Fields& file, const Fields& model);

}  // namespace mortar
