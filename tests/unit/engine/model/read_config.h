// A model's metadata as ReadModelConfig sees it.
#pragma once

#include <string>

#include "engine/model/config.h"
#include "tests/support/gguf_writer.h"

namespace mortar {

inline absl::StatusOr<ModelConfig> ReadConfig(const GgufWriter& writer) {
  ASSIGN_OR_RETURN(const std::shared_ptr<GgufFile> file,
                   GgufFile::FromBytes(writer.Bytes(), "tiny.gguf"));
  return ReadModelConfig(*file);
}

// What the refusal says; empty when the metadata is accepted.
inline std::string ErrorOf(const GgufWriter& writer) {
  return Message(ReadConfig(writer).status());
}

}  // namespace mortar
