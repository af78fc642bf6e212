// Goal: every tensor of a model belongs to a brick, or the manifest is refused by name.
#include "engine/brick/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<Manifest> Build(const GgufWriter& writer, int n_layers) {
  const auto file = GgufFile::FromBytes(writer.Bytes(), "model.gguf");
  if (!file.ok()) return file.status();
  return BuildManifest(**file, n_layers);
}

std::vector<std::string> TensorNames(const Brick& brick) {
  std::vector<std::string> names;
  names.reserve(brick.tensors.size());
  for (const BrickTensor& tensor : brick.tensors) names.push_back(tensor.name);
  return names;
}

TEST(Manifest, HasOneBrickForTheEmbeddingEachLayerAndTheHead) {
  const Manifest manifest = *Build(MakeTinyModel({.tied_head = false}), 4);
  EXPECT_EQ(manifest.model, "Tiny random llama");
  EXPECT_EQ(manifest.architecture, "llama");
  EXPECT_EQ(manifest.n_layers, 4);
  ASSERT_EQ(manifest.bricks.size(), 6u);

  const Brick& embedding = manifest.bricks[0];
  EXPECT_EQ(embedding.name, "embedding");
  EXPECT_EQ(embedding.kind, BrickKind::kEmbedding);
  EXPECT_TRUE(embedding.layers.empty());
  EXPECT_THAT(TensorNames(embedding), ElementsAre("token_embd.weight"));
  EXPECT_THAT(embedding.tensors[0].shape, ElementsAre(64, 288));
  EXPECT_EQ(embedding.bytes, 64u * 288 * 4);

  const Brick& layer = manifest.bricks[3];
  EXPECT_EQ(layer.name, "layers.2");
  EXPECT_EQ(layer.kind, BrickKind::kLayers);
  EXPECT_EQ(layer.layers, (LayerRange{2, 3}));
  EXPECT_EQ(layer.version, 1);
  EXPECT_EQ(layer.sensitivity, Sensitivity::kPublic);
  EXPECT_FALSE(layer.digest.has_value());
  EXPECT_EQ(layer.tensors.size(), 9u);
  EXPECT_TRUE(std::ranges::is_sorted(TensorNames(layer)));

  EXPECT_EQ(manifest.bricks[5].name, "head");
  EXPECT_THAT(TensorNames(manifest.bricks[5]), ElementsAre("output.weight", "output_norm.weight"));
}

TEST(Manifest, ATiedHeadHoldsTheEmbeddingsTensorAsWell) {
  const Manifest manifest = *Build(MakeTinyModel({.n_layers = 1}), 1);
  const Brick& head = manifest.bricks.back();
  EXPECT_THAT(TensorNames(head), ElementsAre("output_norm.weight", "token_embd.weight"));
  EXPECT_EQ(head.bytes, manifest.bricks.front().bytes + 64 * 4);
  // The sum over bricks counts the shared tensor twice, the manifest counts it once.
  uint64_t brick_bytes = 0;
  for (const Brick& brick : manifest.bricks) brick_bytes += brick.bytes;
  EXPECT_EQ(manifest.bytes, brick_bytes - manifest.bricks.front().bytes);
}

TEST(Manifest, AnEncoderHasNoHead) {
  for (const NamedTinyModel& model : TinyEncoders()) {
    const Manifest manifest = *Build(MakeTinyModel(model.options), 3);
    ASSERT_EQ(manifest.bricks.size(), 4u) << model.name;
    EXPECT_EQ(manifest.bricks.back().name, "layers.2");
    EXPECT_THAT(TensorNames(manifest.bricks.front()),
                testing::IsSupersetOf({"token_embd.weight", "token_embd_norm.bias",
                                       "token_embd_norm.weight", "token_types.weight"}));
  }
}

TEST(Manifest, NamesTheTensorsThatBelongToNoBrick) {
  for (const char* stray : {"rope_freqs.bias", "blk.x.attn_q.weight", "blk.00.attn_q.weight",
                            "blk.0", "blk.0.", "blk.-1.a", "blk.4.attn_q.weight",
                            "blk.99999999999.a", "output_extra.weight", "token_embd"}) {
    GgufWriter writer = MakeTinyModel({});
    writer.AddTensor(stray, TensorType::kF32, {1}, std::vector<float>{1});
    const absl::Status status = Build(writer, 4).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(Message(status), "model.gguf: manifest: no brick of a model with 4 layers holds '" +
                                   std::string(stray) + "'");
  }
}

TEST(Manifest, FactorsOfTheRotationBelongToEveryLayerAndCountOnce) {
  GgufWriter writer = MakeTinyModel({});
  const uint64_t bytes = Build(writer, 4)->bytes;
  writer.AddTensor("rope_freqs.weight", TensorType::kF32, {8}, std::vector<float>(8, 1));
  const Manifest manifest = *Build(writer, 4);
  EXPECT_EQ(manifest.bytes, bytes + 32);
  for (const Brick& brick : manifest.bricks) {
    const auto names = TensorNames(brick);
    EXPECT_EQ(std::ranges::count(names, "rope_freqs.weight"),
              brick.kind == BrickKind::kLayers ? 1 : 0)
        << brick.name;
  }
  // Too large to be read once for each layer.
  writer.FindTensor("rope_freqs.weight").shape = {2048};
  writer.FindTensor("rope_freqs.weight").data.resize(2048 * sizeof(float));
  EXPECT_THAT(Message(Build(writer, 4).status()), HasSubstr("holds 'rope_freqs.weight'"));
}

TEST(Manifest, CountsTheStraysThatItDoesNotList) {
  // One layer fewer than the file has: its nine tensors are strays, eight are listed.
  EXPECT_THAT(Message(Build(MakeTinyModel({}), 3).status()),
              HasSubstr("'blk.3.ffn_gate.weight', 'blk.3.ffn_up.weight' and 1 more"));
}

TEST(Manifest, RefusesAGapInTheLayers) {
  GgufWriter writer = MakeTinyModel({});
  std::erase_if(writer.tensors,
                [](const GgufWriter::Tensor& t) { return t.name.starts_with("blk.2."); });
  EXPECT_EQ(Message(Build(writer, 4).status()),
            "model.gguf: manifest: the file has no tensor for brick layers.2");
  // The same when the metadata promises a layer more than there is.
  EXPECT_EQ(Message(Build(MakeTinyModel({}), 5).status()),
            "model.gguf: manifest: the file has no tensor for brick layers.4");
}

TEST(Manifest, RefusesAModelWithoutEmbeddingOrNorm) {
  GgufWriter writer = MakeTinyModel({});
  std::erase_if(writer.tensors,
                [](const GgufWriter::Tensor& t) { return t.name == "token_embd.weight"; });
  EXPECT_THAT(Message(Build(writer, 4).status()), HasSubstr("no tensor for brick embedding"));
  writer = MakeTinyModel({});
  std::erase_if(writer.tensors,
                [](const GgufWriter::Tensor& t) { return t.name == "output_norm.weight"; });
  EXPECT_THAT(Message(Build(writer, 4).status()),
              HasSubstr("no tensor output_norm.* for brick head"));
}

TEST(Manifest, RefusesLayerCountsThatTheFileCannotHold) {
  for (const int n_layers : {-1, 39, 2'000'000'000}) {
    EXPECT_THAT(
        Message(Build(MakeTinyModel({}), n_layers).status()),
        HasSubstr(std::to_string(n_layers) + " layers cannot be made of the file's 38 tensors"));
  }
}

TEST(ManifestText, IsReadByPeopleAndCannotBeForgedByTheModelsName) {
  GgufWriter writer = MakeTinyModel({.n_layers = 1});
  std::vector<uint8_t>& name = writer.FindKey("general.name").value;
  name.clear();
  AppendString("evil\nbrick head: private", name);
  Manifest manifest = *Build(writer, 1);
  manifest.bricks[1].digest = Digest{};
  const std::string text = ToText(manifest);
  EXPECT_THAT(text, HasSubstr("manifest of 'evil\\x0abrick head: private': architecture 'llama', "
                              "1 layers, 3 bricks, "));
  EXPECT_THAT(text,
              HasSubstr("\nbrick embedding: kind embedding, version 1, 73728 bytes, public, "
                        "sha256 not computed\n  token_embd.weight F32 [64, 288] 73728 bytes\n"));
  EXPECT_THAT(text, HasSubstr("\nbrick layers.0: kind layers, version 1, layers [0, 1), "));
  EXPECT_THAT(text, HasSubstr("sha256 " + std::string(64, '0') + "\n"));
}

}  // namespace
}  // namespace mortar
