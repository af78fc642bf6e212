// A model that was split over several GGUF files. Inside engine/gguf only: others use GgufFile.
//
// Each file is a GGUF file of its own, named NAME-00002-of-00005.gguf, whose keys split.no (from 0)
// and split.count say which of them it is. The first has the model's metadata, the others tensors
// (ggml-org/llama.cpp, tools/gguf-split).
#pragma once

#include <optional>
#include <string>

#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/gguf/parse.h"

namespace mortar {

struct SplitPlace {
  int no = 0;            // of this file, from 0
  int count = 1;         // of files
  uint64_t tensors = 0;  // of all files together
};

// What a header says, nothing for a file that holds its whole model. InvalidArgument for numbers
// that cannot be, ResourceExhausted for more files than limits.h has.
absl::StatusOr<std::optional<SplitPlace>> ReadSplitPlace(const GgufMetadata& metadata);

// "file 2 of 5"
std::string Describe(const SplitPlace& place);

// All files of the model whose first, `path`, is read already: `bytes` and `header`. Errors begin
// with the path of the file that they are about: of the system, of the format, InvalidArgument for
// a file that is not the next one, or when the first was not given.
absl::StatusOr<GgufParts> OpenSplit(const std::string& path, FileBytes bytes, GgufHeader header,
                                    const SplitPlace& place);

}  // namespace mortar
