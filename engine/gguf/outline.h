// The outline of a model: a GGUF file of its metadata and of all its tensors' names, types and
// shapes, in which most tensors have no bytes. Whoever has it knows what to fetch.
//
// It is GGUF, version 3. A tensor without bytes has the offset kAbsentOffset, which lies in no
// file: no reader of whole files takes an outline for one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/gguf/gguf.h"

namespace mortar {

// A multiple of every alignment, beyond the end of every file.
inline constexpr uint64_t kAbsentOffset = ~uint64_t{0} << 16;

// `metadata`, and of `file` the list of its tensors, with the bytes of those that `keeps` names.
// The same for the same model, wherever its tensors lie in its files.
std::vector<uint8_t> EncodeOutline(const GgufMetadata& metadata, const GgufFile& file,
                                   const std::function<bool(const TensorInfo&)>& keeps);

// The model that it describes; its tensors without bytes are listed with the part kNoPart. `bytes`
// are copied. Errors as of GgufFile::FromBytes.
absl::StatusOr<std::shared_ptr<GgufFile>> DecodeOutline(std::span<const uint8_t> bytes,
                                                        const std::string& name);

}  // namespace mortar
