// Writes a model with the shapes and the types of a known one, and random weights, for measuring
// speed: write_bench_model NAME PATH. Without arguments: the names of those that `./dev bench
// engine` measures.
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

// How llama.cpp's quantize mixes types in a file (ggml-org/llama.cpp, src/llama-quant.cpp).
enum class Mix { kQ4KM, kQ4_0, kQ8_0 };

// Layers whose attn_v and ffn_down a Q4_K_M file keeps in Q6_K: the first and the last eighth, and
// every third between them.
bool HasMoreBits(int layer, int n_layers) {
  return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
}

// Rows that no blocks of 256 make up take types with blocks of 32.
TensorType WithBlocksThatFit(TensorType type, int n_in) {
  if (n_in % BlockElements(type) == 0) return type;
  return type == TensorType::kQ4_K ? TensorType::kQ5_0 : TensorType::kQ8_0;
}

TensorType TypeOf(Mix mix, int n_layers, const std::string& name, int n_in) {
  if (mix == Mix::kQ8_0) return TensorType::kQ8_0;
  // The embedding is the head too.
  TensorType type = TensorType::kQ6_K;
  int layer = 0;
  char part[32] = {};
  if (std::sscanf(name.c_str(), "blk.%d.%31[a-z_]", &layer, part) == 2) {
    const std::string_view what = part;
    const bool finer = mix == Mix::kQ4KM && (what == "attn_v" || what == "ffn_down") &&
                       HasMoreBits(layer, n_layers);
    if (!finer) type = mix == Mix::kQ4KM ? TensorType::kQ4_K : TensorType::kQ4_0;
  }
  return WithBlocksThatFit(type, n_in);
}

struct BenchModel {
  const char* name;
  Mix mix;
  TinyModelOptions shape;
};

std::vector<BenchModel> BenchModels() {
  const TinyModelOptions qwen = {.n_embd = 896,
                                 .n_ff = 4864,
                                 .n_layers = 24,
                                 .n_heads = 14,
                                 .n_kv_heads = 2,
                                 .n_vocab = 151936,
                                 .n_ctx = 32768,
                                 .rope_base = 1000000,
                                 .architecture = "qwen2"};
  const TinyModelOptions gemma = {.n_embd = 640,
                                  .n_ff = 2048,
                                  .n_layers = 18,
                                  .n_heads = 4,
                                  .n_kv_heads = 1,
                                  .head_dim = 256,
                                  .n_vocab = 262144,
                                  .n_ctx = 32768,
                                  .rope_base = 1000000,
                                  .architecture = "gemma3",
                                  .window = 512};
  const TinyModelOptions llama = {.n_embd = 2048,
                                  .n_ff = 8192,
                                  .n_layers = 16,
                                  .n_heads = 32,
                                  .n_kv_heads = 8,
                                  .n_vocab = 128256,
                                  .n_ctx = 131072,
                                  .rope_base = 500000,
                                  .architecture = "llama"};
  return {{"qwen2.5-0.5b-q4_k_m", Mix::kQ4KM, qwen},
          {"gemma-3-270m-q4_k_m", Mix::kQ4KM, gemma},
          {"llama-3.2-1b-q4_k_m", Mix::kQ4KM, llama},
          {"llama-3.2-1b-q4_0", Mix::kQ4_0, llama},
          {"llama-3.2-1b-q8_0", Mix::kQ8_0, llama}};
}

// For `./dev bench network`: 4 GB of layers, and rows so wide that links take longer than layers.
std::vector<BenchModel> NetworkModels() {
  const TinyModelOptions llama = {.n_embd = 4096,
                                  .n_ff = 11008,
                                  .n_layers = 32,
                                  .n_heads = 32,
                                  .n_kv_heads = 32,
                                  .n_vocab = 32000,
                                  .n_ctx = 4096,
                                  .tied_head = false,
                                  .architecture = "llama"};
  const TinyModelOptions wide = {.n_embd = 2048,
                                 .n_ff = 256,
                                 .n_layers = 3,
                                 .n_heads = 16,
                                 .n_kv_heads = 2,
                                 .n_ctx = 8192,
                                 .architecture = "llama"};
  return {{"llama-2-7b-q4_0", Mix::kQ4_0, llama}, {"wide-q4_0", Mix::kQ4_0, wide}};
}

int WriteNames() {
  for (const BenchModel& model : BenchModels()) std::printf("%s\n", model.name);
  return 0;
}

int Write(std::string_view name, const std::string& path) {
  std::vector<BenchModel> models = BenchModels();
  std::ranges::move(NetworkModels(), std::back_inserter(models));
  for (BenchModel& model : models) {
    if (name != model.name) continue;
    const Mix mix = model.mix;
    const int n_layers = model.shape.n_layers;
    model.shape.type_of = [=](const std::string& tensor, int n_in) {
      return TypeOf(mix, n_layers, tensor, n_in);
    };
    model.shape.drawn_rows = 64;  // speed does not depend on what the weights are
    WriteTinyModel(model.shape, path);
    return 0;
  }
  std::fprintf(stderr, "unknown model; known are");
  for (const BenchModel& model : models) std::fprintf(stderr, " %s", model.name);
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace
}  // namespace mortar

int main(int argc, char** argv) {
  if (argc == 1) return mortar::WriteNames();
  if (argc != 3) {
    std::fputs("usage: write_bench_model [NAME PATH]\n", stderr);
    return 2;
  }
  return mortar::Write(argv[1], argv[2]);
}
