// The stored files of tests/data/golden, read for the golden tests. Their formats are described
// in tools/reference/golden_files.py, which writes them; tests/data/golden/README.md says where
// the texts come from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"

namespace mortar {

// What the f32 reference says at one position.
struct GoldenRecord {
  float log_sum_exp = 0;
  std::vector<int32_t> top_ids;      // [n_top], by falling logit: [0] is the argmax
  std::vector<float> top_logits;     // [n_top]
  std::vector<int32_t> random_ids;   // [n_random], from the stated generator
  std::vector<float> random_logits;  // [n_random]

  float gap() const { return top_logits[0] - top_logits[1]; }  // of the two best
};

struct GoldenLists {
  int n_vocab = 0;
  std::vector<std::vector<int32_t>> tokens;        // [n_lists][n_positions]
  std::vector<std::vector<GoldenRecord>> records;  // [n_lists][n_positions]
};

// Each reads a file of tests/data/golden. NotFound or DataLoss names the file that is absent or
// not what it should be.
using TokenLists = std::vector<std::vector<int32_t>>;
absl::StatusOr<TokenLists> ReadTokenLists(const std::string& name);    // name.tokens
absl::StatusOr<GoldenLists> ReadGoldenLists(const std::string& name);  // name.tokens, name.ref
absl::StatusOr<std::vector<float>> ReadFloats(const std::string& file);
absl::StatusOr<std::string> ReadText(const std::string& file);

// The stored prompts' texts, in the order of prompts.tokens.
absl::StatusOr<std::vector<std::string>> ReadPromptTexts();

// A number, or a text, of a JSON file, by its path: {"settings", "default flags", "text", "ppl"}.
absl::StatusOr<double> ReadNumber(const std::string& file, const std::vector<std::string>& path);
absl::StatusOr<std::string> ReadString(const std::string& file,
                                       const std::vector<std::string>& path);

// The settings of llama_cpp.json.
inline constexpr const char* kSettings[] = {"default flags", "-fa off -ctk f32 -ctv f32",
                                            "reference with rounded activations"};

}  // namespace mortar
