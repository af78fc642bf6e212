// The manifest of a model: all its bricks, as values and as text a person can read.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/layer_range.h"
#include "common/sensitivity.h"
#include "common/status.h"
#include "engine/gguf/gguf.h"

namespace mortar {

enum class BrickKind { kEmbedding, kLayers, kHead };

const char* Name(BrickKind kind);           // "layers"
const char* Name(Sensitivity sensitivity);  // "public"

struct BrickTensor {
  std::string name;  // as in the file
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> shape;  // 1 to 4 dimensions; shape[0] varies fastest
  uint64_t bytes = 0;

  bool operator==(const BrickTensor&) const = default;
};

struct Brick {
  std::string name;  // unique in a manifest: "embedding", "layers.7", "head"
  BrickKind kind = BrickKind::kLayers;
  int version = 1;
  LayerRange layers;                 // empty for embedding and head
  std::vector<BrickTensor> tensors;  // ascending by name; never empty
  uint64_t bytes = 0;                // of its tensors together
  std::optional<Digest> digest;      // SHA-256, see digest.h; absent until it was computed
  Sensitivity sensitivity = Sensitivity::kPublic;

  bool operator==(const Brick&) const = default;
};

struct Manifest {
  std::string model;         // general.name, or empty; any bytes, to be quoted where printed
  std::string architecture;  // general.architecture, or empty; likewise
  int n_layers = 0;
  uint64_t bytes = 0;         // of all tensors of the file, each counted once
  std::vector<Brick> bricks;  // embedding, layers ascending, head where the model has one

  bool operator==(const Manifest&) const = default;
};

// The bricks of a file, without digests: `embedding` has token_embd.*, `layers.N` has blk.N.*,
// `head` has output_norm.* and output.*, or token_embd.* as well where there is no output.*
// (a tied head: the tensor then belongs to two bricks). An encoder has no head: its `embedding` has
// token_embd_norm.*, position_embd.* and token_types.* as well. The factors of the rotation,
// rope_freqs.* and rope_factors_*, belong to every layer. InvalidArgument names the tensors that
// belong to no brick, or the brick that has none.
absl::StatusOr<Manifest> BuildManifest(const GgufFile& file, int n_layers);

// Whether a tensor belongs to every layer: small factors of the rotation's frequencies.
bool IsOfEveryLayer(const TensorInfo& info);

// A heading, one line for each brick, and one indented line for each of its tensors.
std::string ToText(const Manifest& manifest);

}  // namespace mortar
