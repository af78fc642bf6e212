// The weights of a folder: model.safetensors, or the shards that its index names.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/gguf/file_bytes.h"
#include "engine/hf/safetensors.h"

namespace mortar {

struct StoredTensor {
  SafeTensor tensor;
  uint32_t file = 0;  // of Checkpoint::files
};

struct Checkpoint {
  std::vector<FileBytes> files;
  std::map<std::string, StoredTensor> tensors;  // by name
};

// Errors begin with the path of the file at fault. NotFound names shards that are missing, or what
// was looked for where there are no weights; InvalidArgument when the index and the shards
// contradict one another.
absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& folder);

}  // namespace mortar
