// Goal: digests are SHA-256 over exactly what names a brick: every bit of its tensors, their
// names, types and shapes, and nothing of where they lie; and hashing leaves no pages behind.
#include "engine/brick/digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>

#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

std::shared_ptr<GgufFile> Open(const GgufWriter& writer) {
  return *GgufFile::FromBytes(writer.Bytes(), "model.gguf");
}

Manifest Digested(const GgufFile& file, int n_layers) {
  Manifest manifest = *BuildManifest(file, n_layers);
  for (Brick& brick : manifest.bricks) brick.digest = DigestBrick(file, brick);
  return manifest;
}

TEST(Sha256, GivesTheStandardsExamples) {
  // FIPS 180-4 examples: the empty message, "abc", and a million times "a".
  EXPECT_EQ(ToHex(DigestOf(std::string_view())),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(ToHex(DigestOf(std::string_view("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 hash;
  for (int i = 0; i < 1000; ++i) hash.Update(std::string(1000, 'a'));
  EXPECT_EQ(ToHex(hash.Finish()),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(DigestFile, EqualsTheDigestOfItsBytesAndReportsWhatCannotBeRead) {
  const std::string path = ::testing::TempDir() + "/mortar_digest_" + std::to_string(getpid());
  const std::string text(3'000'000, 'x');  // more than one piece
  std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(*DigestFile(path), DigestOf(text));
  std::filesystem::remove(path);
  EXPECT_EQ(DigestFile(path).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(DigestFile("/").status()), ::testing::StartsWith("/: cannot read it"));
}

TEST(DigestBrick, IsTheFramedBytes) {
  // The frame written out by hand, for a head of one tensor of two floats.
  GgufWriter writer;
  writer.AddTensor("token_embd.weight", TensorType::kF32, {1}, std::vector<float>{5});
  writer.AddTensor("output.weight", TensorType::kF32, {2, 1}, std::vector<float>{1, 2});
  writer.AddTensor("output_norm.weight", TensorType::kF32, {1}, std::vector<float>{3});
  const auto file = Open(writer);
  std::vector<uint8_t> framed;
  for (const char c : std::string_view("mortar brick 1\n"))
    framed.push_back(static_cast<uint8_t>(c));
  AppendString("output.weight", framed);
  AppendNumber(uint32_t{0}, framed);
  AppendNumber(uint32_t{2}, framed);
  AppendNumber(uint64_t{2}, framed);
  AppendNumber(uint64_t{1}, framed);
  AppendNumber(uint64_t{8}, framed);
  AppendNumber(1.0f, framed);
  AppendNumber(2.0f, framed);
  AppendString("output_norm.weight", framed);
  AppendNumber(uint32_t{0}, framed);
  AppendNumber(uint32_t{1}, framed);
  AppendNumber(uint64_t{1}, framed);
  AppendNumber(uint64_t{4}, framed);
  AppendNumber(3.0f, framed);
  const Manifest manifest = *BuildManifest(*file, 0);
  EXPECT_EQ(DigestBrick(*file, manifest.bricks.back()), DigestOf(framed));
}

TEST(DigestBrick, DoesNotDependOnWhereTensorsLie) {
  GgufWriter writer = MakeTinyModel({.n_layers = 1});
  const Manifest before = Digested(*Open(writer), 1);
  std::reverse(writer.tensors.begin(), writer.tensors.end());
  writer.AddString("general.description", "moves everything");
  EXPECT_EQ(Digested(*Open(writer), 1).bricks, before.bricks);
}

TEST(DigestBrick, DependsOnEveryNameTypeAndShape) {
  // The same 128 bytes under another name, type or shape.
  const auto digest = [](const std::string& name, uint32_t type, std::vector<uint64_t> shape) {
    GgufWriter writer = MakeTinyModel({.n_layers = 1});
    GgufWriter::Tensor& tensor = writer.FindTensor("blk.0.attn_norm.weight");
    tensor = {name, std::move(shape), type, std::vector<uint8_t>(128, 7)};
    const auto file = Open(writer);
    return *Digested(*file, 1).bricks[1].digest;
  };
  const std::string name = "blk.0.attn_norm.weight";
  const std::set<Digest> digests = {
      digest(name, 0, {32}),    digest("blk.0.attn_norm.bias", 0, {32}),
      digest(name, 0, {32, 1}), digest(name, 0, {16, 2}),
      digest(name, 1, {64}),    digest(name, 30, {64}),
  };
  EXPECT_EQ(digests.size(), 6u);
}

TEST(Verify, FindsTheBrickWhoseBytesChanged) {
  GgufWriter writer = MakeTinyModel({});
  const Manifest manifest = Digested(*Open(writer), 4);
  EXPECT_TRUE(Verify(*Open(writer), manifest)->empty());

  writer.FindTensor("blk.2.ffn_up.weight").data.back() ^= 1;
  auto mismatches = *Verify(*Open(writer), manifest);
  ASSERT_EQ(mismatches.size(), 1u);
  EXPECT_EQ(mismatches[0].brick, "layers.2");
  EXPECT_EQ(manifest.bricks[3].digest, mismatches[0].expected);
  EXPECT_NE(mismatches[0].found, mismatches[0].expected);

  // A tied embedding belongs to two bricks: both differ.
  writer = MakeTinyModel({});
  writer.FindTensor("token_embd.weight").data.front() ^= 0x80;
  mismatches = *Verify(*Open(writer), manifest);
  ASSERT_EQ(mismatches.size(), 2u);
  EXPECT_EQ(mismatches[0].brick, "embedding");
  EXPECT_EQ(mismatches[1].brick, "head");
}

TEST(Verify, RefusesAManifestOfAnotherModelOrWithoutDigests) {
  const auto file = Open(MakeTinyModel({}));
  EXPECT_EQ(Verify(*file, *BuildManifest(*file, 4)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  const auto wider = Open(MakeTinyModel({.n_vocab = 320}));
  EXPECT_EQ(Message(Verify(*file, Digested(*wider, 4)).status()),
            "model.gguf: brick embedding: tensor 'token_embd.weight' is missing or has another "
            "type or shape than in the manifest");
}

// Resident memory that maps files, in bytes.
uint64_t ResidentFileBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == "RssFile:" && status >> kib) return kib << 10;
  }
  ADD_FAILURE() << "no RssFile in /proc/self/status";
  return 0;
}

TEST(DigestBrick, GivesThePagesBackAsItGoes) {
  const std::string path = ::testing::TempDir() + "/mortar_pages_" + std::to_string(getpid());
  WriteTinyModel({.n_embd = 1024, .n_ff = 32, .n_layers = 1, .n_vocab = 2048}, path);
  const auto file = *GgufFile::Open(path);
  const Manifest manifest = *BuildManifest(*file, 1);
  const uint64_t before = ResidentFileBytes();
  for (const Brick& brick : manifest.bricks) {
    DigestBrick(*file, brick);
    // The file has 21 MiB; what may stay are the pages that two tensors share.
    EXPECT_LT(ResidentFileBytes(), before + (1 << 20)) << brick.name;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace mortar
