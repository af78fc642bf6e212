#include "engine/brick/manifest.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "engine/gguf/reader.h"
#include "engine/model/architectures.h"

namespace mortar {
namespace {

// How many names an error lists before it counts the rest.
constexpr size_t kNamesShownMax = 8;

// N of "blk.N.rest", or nothing. One spelling alone: "blk.07." is no layer.
std::optional<int> LayerOf(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const auto digits = static_cast<size_t>(end - name.data());
  if (error != std::errc() || layer < 0 || name.substr(0, digits) != std::to_string(layer)) {
    return std::nullopt;
  }
  name.remove_prefix(digits);
  if (name.size() < 2 || name[0] != '.') return std::nullopt;
  return layer;
}

BrickTensor ToBrickTensor(const TensorInfo& info) {
  return {info.name, info.type, {info.shape.begin(), info.shape.begin() + info.n_dims}, info.bytes};
}

void Add(const TensorInfo& info, Brick& brick) {
  brick.tensors.push_back(ToBrickTensor(info));
  brick.bytes += info.bytes;
}

std::string ListOf(const std::vector<std::string>& names) {
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), kNamesShownMax); ++i) {
    list += (i == 0 ? "" : ", ") + Quoted(names[i]);
  }
  if (names.size() > kNamesShownMax) {
    list += " and " + std::to_string(names.size() - kNamesShownMax) + " more";
  }
  return list;
}

std::string TextOf(const GgufFile& file, std::string_view key) {
  const auto value = file.GetString(key);
  return value.ok() ? *value : std::string();
}

// By its name alone: a manifest is built of files whose shape nobody has read yet.
bool IsEncoder(const GgufFile& file) {
  const Architecture* traits = FindArchitecture(TextOf(file, "general.architecture"));
  return traits != nullptr && traits->encoder;
}

// Embedding, one brick a layer, head; all without tensors.
std::vector<Brick> EmptyBricks(int n_layers) {
  std::vector<Brick> bricks(static_cast<size_t>(n_layers) + 2);
  bricks.front().name = "embedding";
  bricks.front().kind = BrickKind::kEmbedding;
  for (int layer = 0; layer < n_layers; ++layer) {
    Brick& brick = bricks[static_cast<size_t>(layer) + 1];
    brick.name = "layers." + std::to_string(layer);
    brick.layers = {layer, layer + 1};
  }
  bricks.back().name = "head";
  bricks.back().kind = BrickKind::kHead;
  return bricks;
}

// The brick that a tensor belongs to by its name, or null. Tied heads are added later.
Brick* BrickOf(std::string_view name, int n_layers, std::vector<Brick>& bricks) {
  for (const char* prefix : {"token_embd.", "token_embd_norm.", "position_embd.", "token_types."}) {
    if (name.starts_with(prefix)) return &bricks.front();
  }
  if (name.starts_with("output_norm.") || name.starts_with("output.")) return &bricks.back();
  const std::optional<int> layer = LayerOf(name);
  if (!layer || *layer >= n_layers) return nullptr;
  return &bricks[static_cast<size_t>(*layer) + 1];
}

std::string ShapeText(const std::vector<uint64_t>& shape) {
  std::string text;
  for (const uint64_t extent : shape) {
    text += (text.empty() ? "[" : ", ") + std::to_string(extent);
  }
  return text + "]";
}

bool HasPrefix(const Brick& brick, std::string_view prefix) {
  return std::any_of(brick.tensors.begin(), brick.tensors.end(),
                     [prefix](const BrickTensor& t) { return t.name.starts_with(prefix); });
}

// Adds the embedding's tensors to a head that is tied to it.
absl::Status CompleteHead(const std::string& where, const Brick& embedding, Brick& head) {
  if (!HasPrefix(head, "output.")) {
    for (const BrickTensor& tensor : embedding.tensors) {
      head.tensors.push_back(tensor);
      head.bytes += tensor.bytes;
    }
  }
  if (HasPrefix(head, "output_norm.")) return absl::OkStatus();
  return InvalidArgument(where + ": the file has no tensor output_norm.* for brick head");
}

}  // namespace

const char* Name(BrickKind kind) {
  if (kind == BrickKind::kEmbedding) return "embedding";
  return kind == BrickKind::kHead ? "head" : "layers";
}

const char* Name(Sensitivity sensitivity) {
  return sensitivity == Sensitivity::kPublic ? "public" : "private";
}

// Factors of the rotation's frequencies are read by every layer: each layer's brick holds them, so
// that its digest tells other factors apart. They are small, or none: a brick's digest reads them
// once for each layer.
bool IsOfEveryLayer(const TensorInfo& info) {
  constexpr uint64_t kBytesMax = 4096;
  return info.bytes <= kBytesMax &&
         (info.name == "rope_freqs.weight" || info.name == "rope_factors_short.weight" ||
          info.name == "rope_factors_long.weight");
}

absl::StatusOr<Manifest> BuildManifest(const GgufFile& file, int n_layers) {
  const std::string where = file.path() + ": manifest";
  // Each layer needs a tensor: held against the file before bricks are allocated.
  if (n_layers < 0 || static_cast<size_t>(n_layers) > file.tensors().size()) {
    return InvalidArgument(where + ": " + std::to_string(n_layers) +
                           " layers cannot be made of the file's " +
                           std::to_string(file.tensors().size()) + " tensors");
  }
  Manifest manifest{TextOf(file, "general.name"), TextOf(file, "general.architecture"), n_layers, 0,
                    EmptyBricks(n_layers)};
  std::vector<std::string> strays;
  for (const TensorInfo& info : file.tensors()) {
    if (IsOfEveryLayer(info)) {
      for (Brick& brick : manifest.bricks) {
        if (brick.kind == BrickKind::kLayers) Add(info, brick);
      }
      manifest.bytes += info.bytes;
      continue;
    }
    Brick* const brick = BrickOf(info.name, n_layers, manifest.bricks);
    if (brick == nullptr) {
      strays.push_back(info.name);
    } else {
      Add(info, *brick);
      manifest.bytes += info.bytes;
    }
  }
  if (!strays.empty()) {
    return InvalidArgument(where + ": no brick of a model with " + std::to_string(n_layers) +
                           " layers holds " + ListOf(strays));
  }
  Brick& head = manifest.bricks.back();
  if (IsEncoder(file) && head.tensors.empty()) {
    manifest.bricks.pop_back();
  } else {
    RETURN_IF_ERROR(CompleteHead(where, manifest.bricks.front(), head));
  }
  for (Brick& brick : manifest.bricks) {
    if (brick.tensors.empty()) {
      return InvalidArgument(where + ": the file has no tensor for brick " + brick.name);
    }
    std::sort(brick.tensors.begin(), brick.tensors.end(),
              [](const BrickTensor& a, const BrickTensor& b) { return a.name < b.name; });
  }
  return manifest;
}

std::string ToText(const Manifest& manifest) {
  std::string text = "manifest of " + Quoted(manifest.model) + ": architecture " +
                     Quoted(manifest.architecture) + ", " + std::to_string(manifest.n_layers) +
                     " layers, " + std::to_string(manifest.bricks.size()) + " bricks, " +
                     std::to_string(manifest.bytes) + " bytes\n";
  for (const Brick& brick : manifest.bricks) {
    text += "brick " + brick.name + ": kind " + Name(brick.kind) + ", version " +
            std::to_string(brick.version);
    if (!brick.layers.empty()) text += ", layers " + ToString(brick.layers);
    text += ", " + std::to_string(brick.bytes) + " bytes, " + Name(brick.sensitivity) +
            ", sha256 " + (brick.digest ? ToHex(*brick.digest) : "not computed") + "\n";
    for (const BrickTensor& tensor : brick.tensors) {
      text += "  " + tensor.name + " " + Name(tensor.type) + " " + ShapeText(tensor.shape) + " " +
              std::to_string(tensor.bytes) + " bytes\n";
    }
  }
  return text;
}

}  // namespace mortar
