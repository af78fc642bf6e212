// How much a Hugging Face folder may ask for. Every limit has its unit and its reason here;
// reaching one is RESOURCE_EXHAUSTED, before anything of that size is allocated.
#pragma once

#include <cstdint>

namespace mortar::hf_limits {

// Bytes of a safetensors header: the format's own limit.
inline constexpr uint64_t kHeaderBytesMax = 100'000'000;

// JSON values of a safetensors header. 65,536 tensors of two dimensions take nine each.
inline constexpr uint64_t kHeaderValuesMax = 1 << 20;

// Tensors of a checkpoint, as many as a GGUF file may have.
inline constexpr uint64_t kTensorsMax = 65'536;

// Dimensions of a tensor, as in GGUF.
inline constexpr uint64_t kTensorDimsMax = 4;

// Files of a checkpoint. The largest public ones have about 200.
inline constexpr uint64_t kShardsMax = 1024;

// Bytes of config.json, generation_config.json and a chat template: kilobytes in use.
inline constexpr uint64_t kConfigBytesMax = 1 << 20;
inline constexpr uint64_t kConfigValuesMax = 1 << 16;

// Bytes of the list of shards, and of tokenizer_config.json, which repeats the added tokens.
inline constexpr uint64_t kIndexBytesMax = 16 << 20;
inline constexpr uint64_t kIndexValuesMax = 1 << 18;

// Bytes and values of tokenizer.json. Vocabularies of 262,000 tokens with 580,000 merges take
// 34 MB and 2 million.
inline constexpr uint64_t kTokenizerBytesMax = 128 << 20;
inline constexpr uint64_t kTokenizerValuesMax = 4 << 20;

// Lists and objects inside one another. Files in use have 8.
inline constexpr uint64_t kNestingMax = 32;

}  // namespace mortar::hf_limits
