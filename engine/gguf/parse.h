// The header of a GGUF file as values. Inside engine/gguf only: others use GgufFile.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/gguf/gguf.h"

namespace mortar {

struct GgufHeader {
  GgufMetadata metadata;
  std::vector<TensorInfo> tensors;  // in the file's order, each wholly inside the file
};

// Tensors of an outline (outline.h) that have no bytes: of a whole file none.
enum class Absent { kRefused, kListed };

// Reads the header of a whole file. InvalidArgument for what the format forbids, DataLoss for
// what is cut off, ResourceExhausted for what exceeds limits.h, Unimplemented for versions and
// types that are not read. Pure.
absl::StatusOr<GgufHeader> ParseGguf(std::span<const uint8_t> file,
                                     Absent absent = Absent::kRefused);

// The tensor type of GGUF's number. Unimplemented, with the list of those known, for others.
absl::StatusOr<TensorType> TensorTypeFromNumber(uint32_t number);

}  // namespace mortar
