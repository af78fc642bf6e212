// How much a GGUF file may ask for. Every limit has its unit in its name and its reason here;
// reaching one is RESOURCE_EXHAUSTED, before anything of that size is allocated.
#pragma once

#include <cstdint>

namespace mortar::gguf_limits {

// Keys in the metadata. Real files hold 20 to 60; a merge that names hundreds of parents still
// fits, and a map of this many entries stays below 10 MB.
inline constexpr uint64_t kKeysMax = 16'384;

// Files of a split model. The largest in use have some 50; each is one open file.
inline constexpr uint64_t kSplitFilesMax = 512;

// Tensors in a file. A mixture of experts stored expert by expert (60 layers x 256 experts x 3
// matrices) has 46,080.
inline constexpr uint64_t kTensorsMax = 65'536;

// Bytes of header: metadata and the list of tensors. The largest vocabularies (260,000 tokens
// and 500,000 merges) take 15 MB.
inline constexpr uint64_t kHeaderBytesMax = 128 << 20;

// Elements of all arrays of a file together. Vocabularies of 260,000 tokens with scores, types
// and merges hold 1.3 million. As strings this many take 128 MiB and their characters.
inline constexpr uint64_t kArrayElementsMax = 4 << 20;

// Bytes of one string. The longest in use are chat templates, of 20 KB or so.
inline constexpr uint64_t kStringBytesMax = 1 << 20;

// Bytes of a key: keys are dotted words, and messages quote them.
inline constexpr uint64_t kKeyBytesMax = 256;

// Bytes of a tensor's name: the format's own limit.
inline constexpr uint64_t kTensorNameBytesMax = 64;

// Dimensions of a tensor: the format's own limit.
inline constexpr uint32_t kTensorDimsMax = 4;

// Alignment of the tensors' data, in bytes. The least is the format's own: values of up to 8
// bytes are read in place. The greatest is the largest page size in use: more only pads.
inline constexpr uint32_t kAlignmentMin = 8;
inline constexpr uint32_t kAlignmentMax = 64 << 10;
inline constexpr uint32_t kAlignmentDefault = 32;

}  // namespace mortar::gguf_limits
