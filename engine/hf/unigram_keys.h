// The vocabulary of a tokenizer.json whose model is Unigram: pieces with scores.
#pragma once

#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/hf/json.h"

namespace mortar {

// AddVocabularyKeys for such a model.
absl::Status AddUnigramKeys(const Fields& file, const Fields& model, uint64_t n_rows,
                            GgufMetadata& to);

}  // namespace mortar
