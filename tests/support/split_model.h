// A model over several GGUF files, as llama.cpp's tool writes it: all keys in the first file,
// tensors in their order.
#pragma once

#include <string>
#include <vector>

#include "tests/support/gguf_writer.h"

namespace mortar {

std::vector<GgufWriter> SplitModel(const GgufWriter& whole, int n_files);

// "STEM-00002-of-00003.gguf" of file 1 of 3.
std::string SplitPath(const std::string& stem, int no, int n_files);

}  // namespace mortar
