// The safetensors format: eight bytes that count a JSON header, the header, the tensors' bytes.
//
// Parse() bounds every number before it is used, so that everything after it is total: a tensor
// that is listed lies wholly inside the file, with a size that follows from its shape and type, and
// the tensors cover the bytes behind the header without holes or overlaps, as the format demands.
//
// Source: the format's description in huggingface/safetensors, README.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/gguf/gguf.h"

namespace mortar {

struct SafeTensor {
  std::string name;
  TensorType type = TensorType::kF32;  // kF32, kF16 or kBF16
  std::vector<uint64_t> shape;         // the last varies fastest
  uint64_t offset = 0;                 // from the start of the file
  uint64_t bytes = 0;
};

// In the order of their names. InvalidArgument for what the format forbids, DataLoss for what is
// cut off, ResourceExhausted above limits.h, Unimplemented, with those known, for other types.
// Pure.
absl::StatusOr<std::vector<SafeTensor>> ParseSafetensors(std::span<const uint8_t> file);

}  // namespace mortar
