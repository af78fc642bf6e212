// Writes the first inputs of the corpora of gguf, manifest and outline: usage: make_gguf_seeds
// CORPUS_DIR
//
// Each seed is a good file, so small that a flipped bit is likely to matter. What the fuzzer
// finds beside them is merged into the same folders.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "engine/brick/digest.h"
#include "engine/brick/outline.h"
#include "tests/support/gguf_encode.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

GgufWriter WithEveryKind() {
  GgufWriter writer;
  writer.AddRaw("u8", 0, {200});
  writer.AddRaw("i8", 1, {200});
  writer.AddRaw("u16", 2, {1, 2});
  writer.AddRaw("i16", 3, {1, 2});
  writer.AddUint32("u32", 7);
  writer.AddInt32("i32", -7);
  writer.AddFloat("f32", 0.5f);
  writer.AddBool("bool", true);
  writer.AddString("text", "a brick");
  writer.AddUint64("u64", 7);
  writer.AddRaw("i64", 11, {1, 0, 0, 0, 0, 0, 0, 0});
  writer.AddDouble("f64", 0.5);
  writer.AddStrings("texts", std::vector<std::string>{"", "two", "three"});
  writer.AddInts("ints", std::vector<int32_t>{-1, 1});
  writer.AddFloats("floats", std::vector<float>{0.5f});
  std::vector<uint8_t> bools;
  AppendNumber(uint32_t{7}, bools);
  AppendNumber(uint64_t{2}, bools);
  bools.insert(bools.end(), {1, 0});
  writer.AddRaw("bools", 9, bools);
  return writer;
}

GgufWriter WithEveryType() {
  GgufWriter writer;
  writer.AddUint32("general.alignment", 8);
  writer.alignment = 8;
  for (const TensorType type : kTensorTypes) {
    const auto n = static_cast<size_t>(std::max(32, BlockElements(type)));
    writer.AddTensor(Name(type), type, {n}, std::vector<float>(n, 1));
  }
  writer.AddTensor("four_dims", TensorType::kF16, {1, 2, 1, 2}, std::vector<float>(4, 1));
  return writer;
}

// The least that is a model to the manifest.
GgufWriter Model(int n_layers, bool tied) {
  const std::vector<float> one = {1};
  GgufWriter writer;
  writer.alignment = 8;
  writer.AddUint32("general.alignment", 8);
  writer.AddString("general.architecture", "llama");
  writer.AddUint32("llama.block_count", static_cast<uint32_t>(n_layers));
  writer.AddTensor("token_embd.weight", TensorType::kF32, {1}, one);
  for (int layer = 0; layer < n_layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    writer.AddTensor(block + "attn_norm.weight", TensorType::kF32, {1}, one);
    writer.AddTensor(block + "ffn_up.weight", TensorType::kF32, {1}, one);
  }
  writer.AddTensor("output_norm.weight", TensorType::kF32, {1}, one);
  if (!tied) writer.AddTensor("output.weight", TensorType::kF32, {1, 1}, one);
  return writer;
}

// The outline of a model of one layer, with factors that belong to every layer.
std::vector<uint8_t> SmallOutline() {
  const auto file =
      *GgufFile::FromBytes(MakeTinyModel({.n_layers = 1, .rope_factors = true}).Bytes(), "seed");
  Manifest manifest = *BuildManifest(*file, 1);
  for (Brick& brick : manifest.bricks) brick.digest = DigestBrick(*file, brick);
  return *OutlineOf(*file, manifest, 1 << 20);
}

}  // namespace
}  // namespace mortar

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_gguf_seeds CORPUS_DIR\n");
    return 2;
  }
  const std::string corpus = argv[1];
  mortar::GgufWriter().WriteTo(corpus + "/gguf/seed_empty");
  mortar::WithEveryKind().WriteTo(corpus + "/gguf/seed_every_kind");
  mortar::WithEveryType().WriteTo(corpus + "/gguf/seed_every_type");
  mortar::Model(1, true).WriteTo(corpus + "/gguf/seed_model");
  mortar::Model(2, true).WriteTo(corpus + "/manifest/seed_tied");
  mortar::Model(1, false).WriteTo(corpus + "/manifest/seed_untied");
  mortar::Model(0, false).WriteTo(corpus + "/manifest/seed_no_layers");
  const std::vector<uint8_t> outline = mortar::SmallOutline();
  std::ofstream(corpus + "/outline/seed_small", std::ios::binary)
      .write(reinterpret_cast<const char*>(outline.data()),
             static_cast<std::streamsize>(outline.size()));
  return 0;
}
