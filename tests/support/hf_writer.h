// Writes Hugging Face folders for tests: the tiny models as transformers would store them.
//
// The weights, the config and the tokenizer are public, so that a test can spoil one of them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/gguf_writer.h"
#include "tests/support/tiny_model.h"

namespace mortar {

struct HfWriter {
  struct Tensor {
    std::string name;
    std::string dtype;            // "F32", "BF16"
    std::vector<uint64_t> shape;  // the last varies fastest
    std::vector<uint8_t> data;
  };

  nlohmann::json config;
  nlohmann::json tokenizer;
  nlohmann::json tokenizer_config;
  std::vector<Tensor> tensors;

  // config.json, tokenizer.json, tokenizer_config.json and the weights: one file, or as many
  // shards with an index.
  void WriteTo(const std::string& folder, int n_shards = 1) const;
};

// A safetensors file of a header and what follows it.
std::string SafetensorsBytes(const std::string& header, const std::string& data);
std::string SafetensorsBytes(const std::vector<HfWriter::Tensor>& tensors);

void WriteFile(const std::string& path, const std::string& bytes);

// MakeTinyModel(options) in both forms, with the same values: gemma's norms are such that 1 can be
// taken from them and added again. Needs: no rope_factors, but for phi3; matrices of F32 or BF16.
struct TinyPair {
  GgufWriter gguf;
  HfWriter hf;
};
TinyPair MakeTinyPair(const TinyModelOptions& options);

}  // namespace mortar
