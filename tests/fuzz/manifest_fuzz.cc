// Goal: no model file makes the manifest crash or lose a tensor: what is built accounts for
// every tensor and verifies against itself.
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "common/check.h"
#include "engine/brick/digest.h"
#include "engine/brick/manifest.h"
#include "engine/gguf/gguf.h"

namespace mortar {
namespace {

void CheckManifest(const GgufFile& file, int n_layers) {
  auto manifest = BuildManifest(file, n_layers);
  if (!manifest.ok()) {
    CHECK(Message(manifest.status()).find('\n') == std::string::npos);
    return;
  }
  CHECK(manifest->bricks.size() == static_cast<size_t>(n_layers) + 2);
  std::set<std::string> brick_names;
  std::set<std::string> tensor_names;
  uint64_t bytes = 0;
  for (const TensorInfo& tensor : file.tensors()) bytes += tensor.bytes;
  CHECK(manifest->bytes == bytes);
  for (Brick& brick : manifest->bricks) {
    CHECK(!brick.tensors.empty());
    CHECK(brick_names.insert(brick.name).second);
    for (const BrickTensor& tensor : brick.tensors) tensor_names.insert(tensor.name);
    brick.digest = DigestBrick(file, brick);
  }
  CHECK(tensor_names.size() == file.tensors().size());
  const auto mismatches = Verify(file, *manifest);
  CHECK(mismatches.ok() && mismatches->empty());
  CHECK(!ToText(*manifest).empty());
}

}  // namespace
}  // namespace mortar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = mortar::GgufFile::FromBytes(std::span(data, size), "fuzz.gguf");
  if (!file.ok()) return 0;
  const auto n_layers = (*file)->GetUint32("llama.block_count");
  // Any count must do, so what does not fit an int is passed as the negative it wraps to.
  mortar::CheckManifest(**file, n_layers.ok() ? static_cast<int>(*n_layers) : 0);
  return 0;
}
