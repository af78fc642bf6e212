// Byte-level BPE (GGUF's tokenizer model "gpt2"), made from plain tables, wherever they come from.
#pragma once

#include <memory>

#include "common/status.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"

namespace mortar {

// Does: checks the tables against one another and builds what Encode needs. It copies. Normal
// tokens and merges are spelled in GPT-2's byte alphabet.
// Errors: InvalidArgument, naming the GGUF key and the index, for what TokenTable::Build refuses,
// and for a merge that is malformed, names a token that is unknown or special, or stands twice;
// Unimplemented for a pre-tokenizer.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeBpeTokenizer(const Vocabulary& vocabulary);

}  // namespace mortar
