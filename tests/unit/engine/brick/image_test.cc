// Goal: a brick's image is what its digest is over, byte for byte, from any place of it; an outline
// says all that a model computes and no more; and a model put together from an outline and images
// computes the same as its file.
#include "engine/brick/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/brick/digest.h"
#include "engine/brick/outline.h"
#include "engine/brick/shelf.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using testing::HasSubstr;

constexpr uint64_t kOutlineMax = 16 << 20;

std::shared_ptr<GgufFile> Open(const TinyModelOptions& options) {
  return *GgufFile::FromBytes(MakeTinyModel(options).Bytes(), "model.gguf");
}

Manifest Digested(const GgufFile& file, int n_layers) {
  Manifest manifest = *BuildManifest(file, n_layers);
  for (Brick& brick : manifest.bricks) brick.digest = DigestBrick(file, brick);
  return manifest;
}

std::vector<uint8_t> ImageOf(const GgufFile& file, const Brick& brick) {
  const ImageLayout layout = *LayoutOf(brick);
  std::vector<uint8_t> image(layout.bytes);
  EXPECT_TRUE(ReadImage(file, brick, layout, 0, image).ok());
  return image;
}

TEST(BrickImage, IsWhatTheDigestIsOver) {
  const auto file = Open({.type = TensorType::kQ8_0});
  for (const Brick& brick : Digested(*file, 4).bricks) {
    EXPECT_EQ(DigestOf(ImageOf(*file, brick)), *brick.digest) << brick.name;
  }
}

TEST(BrickImage, AnyPieceIsThatPieceOfTheWhole) {
  const auto file = Open({});
  const Manifest manifest = Digested(*file, 4);
  const Brick& brick = manifest.bricks[2];
  const ImageLayout layout = *LayoutOf(brick);
  const std::vector<uint8_t> whole = ImageOf(*file, brick);
  // Across every border between a frame and a tensor, and in steps that meet none.
  for (uint64_t length : {1, 7, 1000, 40'000}) {
    for (uint64_t at = 0; at < layout.bytes; at += std::max<uint64_t>(length / 2, 13)) {
      std::vector<uint8_t> piece(std::min(length, layout.bytes - at));
      ASSERT_TRUE(ReadImage(*file, brick, layout, at, piece).ok());
      ASSERT_TRUE(
          std::equal(piece.begin(), piece.end(), whole.begin() + static_cast<std::ptrdiff_t>(at)))
          << length << " at " << at;
    }
  }
}

TEST(BrickImage, AnotherSizeOrFrameIsFound) {
  const auto file = Open({});
  const Manifest manifest = Digested(*file, 4);
  const ImageLayout layout = *LayoutOf(manifest.bricks[1]);
  std::vector<uint8_t> image = ImageOf(*file, manifest.bricks[1]);
  EXPECT_TRUE(CheckImage(layout, image).ok());
  EXPECT_TRUE(absl::IsDataLoss(CheckImage(layout, std::span(image).first(image.size() - 1))));
  EXPECT_TRUE(absl::IsDataLoss(CheckImage(*LayoutOf(manifest.bricks[2]), image)));
  image[0] ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(CheckImage(layout, image)));
}

TEST(Outline, DescribesTheModelWithoutItsBytes) {
  for (const NamedTinyModel& tiny : TinyModelOfEveryArchitecture()) {
    SCOPED_TRACE(tiny.name);
    const auto file = Open(tiny.options);
    const Manifest manifest = Digested(*file, tiny.options.n_layers);
    const auto bytes = OutlineOf(*file, manifest, kOutlineMax);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_LT(bytes->size(), file->file_bytes() / 4);
    const auto outline = ReadOutline(*bytes, "outline");
    ASSERT_TRUE(outline.ok()) << outline.status();
    EXPECT_EQ(outline->manifest.bricks, manifest.bricks);
    EXPECT_EQ(outline->config.n_ctx_train, ReadModelConfig(*file)->n_ctx_train);
    EXPECT_EQ(outline->config.rope.factors, ReadModelConfig(*file)->rope.factors);
    EXPECT_FALSE(outline->file->metadata().contains("tokenizer.ggml.tokens"));
  }
}

TEST(Outline, IsTheSameWhereverTheTensorsLie) {
  const auto file = Open({});
  const Manifest manifest = Digested(*file, 4);
  GgufParts parts{file->metadata(), file->tensors(), {}};
  std::ranges::reverse(parts.tensors);
  for (TensorInfo& tensor : parts.tensors) {
    const auto data = file->Data(tensor);
    tensor.part = static_cast<uint32_t>(parts.parts.size());
    tensor.offset = 0;
    parts.parts.push_back(FileBytes::Copy(data));
  }
  parts.metadata["general.file_type"] = uint64_t{7};
  const auto elsewhere = *GgufFile::Assemble(std::move(parts), "elsewhere");
  EXPECT_EQ(*OutlineOf(*file, manifest, kOutlineMax),
            *OutlineOf(*elsewhere, Digested(*elsewhere, 4), kOutlineMax));
}

TEST(Outline, TellsModelsApartThatComputeSomethingElse) {
  const auto file = Open({});
  const auto other = Open({.rope_base = 20000});  // the same tensors
  const Manifest manifest = Digested(*file, 4);
  ASSERT_EQ(manifest.bricks, Digested(*other, 4).bricks);
  EXPECT_NE(*OutlineOf(*file, manifest, kOutlineMax), *OutlineOf(*other, manifest, kOutlineMax));
}

TEST(Outline, APrivateBrickOrTooManyBytesGiveNone) {
  const auto file = Open({});
  Manifest manifest = Digested(*file, 4);
  EXPECT_TRUE(absl::IsResourceExhausted(OutlineOf(*file, manifest, 100).status()));
  manifest.bricks[2].sensitivity = Sensitivity::kPrivate;
  EXPECT_TRUE(absl::IsFailedPrecondition(OutlineOf(*file, manifest, kOutlineMax).status()));
}

TEST(Outline, DamagedBytesGiveAnError) {
  const auto file = Open({});
  const std::vector<uint8_t> good = *OutlineOf(*file, Digested(*file, 4), kOutlineMax);
  for (size_t cut = 0; cut < good.size(); cut += 97) {
    EXPECT_FALSE(ReadOutline(std::span(good).first(cut), "outline").ok()) << cut;
  }
  // It is no model file, and a model file is no outline.
  EXPECT_FALSE(GgufFile::FromBytes(good, "model.gguf").ok());
  EXPECT_FALSE(ReadOutline(MakeTinyModel({}).Bytes(), "outline").ok());
}

TEST(Outline, WithImagesItHasTheTensorsOfTheFile) {
  for (const NamedTinyModel& tiny : TinyModelOfEveryArchitecture()) {
    SCOPED_TRACE(tiny.name);
    const auto file = Open(tiny.options);
    const Manifest manifest = Digested(*file, tiny.options.n_layers);
    const Outline outline = *ReadOutline(*OutlineOf(*file, manifest, kOutlineMax), "outline");
    std::vector<BrickImage> images;
    for (const size_t brick : {2, 3}) {
      images.push_back({&outline.manifest.bricks[brick],
                        FileBytes::Copy(ImageOf(*file, manifest.bricks[brick]))});
    }
    const auto joined = WithBricks(outline, std::move(images), "joined");
    ASSERT_TRUE(joined.ok()) << joined.status();
    int with_bytes = 0;
    for (const TensorInfo& tensor : (*joined)->tensors()) {
      if (tensor.part == kNoPart) continue;
      ++with_bytes;
      EXPECT_TRUE(
          std::ranges::equal((*joined)->Data(tensor), file->Data(*file->FindTensor(tensor.name))))
          << tensor.name;
    }
    EXPECT_GE(with_bytes, static_cast<int>(manifest.bricks[2].tensors.size()) * 2 - 3);
    EXPECT_LT(with_bytes, static_cast<int>(file->tensors().size()));
  }
}

TEST(Outline, AnImageOfAnotherBrickIsRefused) {
  const auto file = Open({});
  const Manifest manifest = Digested(*file, 4);
  const Outline outline = *ReadOutline(*OutlineOf(*file, manifest, kOutlineMax), "outline");
  std::vector<BrickImage> images;
  images.push_back(
      {&outline.manifest.bricks[2], FileBytes::Copy(ImageOf(*file, manifest.bricks[3]))});
  const auto joined = WithBricks(outline, std::move(images), "joined");
  EXPECT_TRUE(absl::IsDataLoss(joined.status()));
  EXPECT_THAT(Message(joined.status()), HasSubstr("layers.1"));
}

TEST(BrickShelf, ShowsPublicBricksAndTheOutlineAlone) {
  const auto file = Open({});
  Manifest manifest = Digested(*file, 4);
  const std::vector<uint8_t> outline = *OutlineOf(*file, manifest, kOutlineMax);
  manifest.bricks[2].sensitivity = Sensitivity::kPrivate;
  BrickShelf shelf(file, manifest, outline);
  EXPECT_EQ(shelf.Find(*shelf.outline()), outline.size());
  EXPECT_EQ(shelf.Find(*manifest.bricks[1].digest), LayoutOf(manifest.bricks[1])->bytes);
  EXPECT_FALSE(shelf.Find(*manifest.bricks[2].digest).has_value());
  EXPECT_FALSE(shelf.Find(Digest{}).has_value());
  EXPECT_TRUE(absl::IsFailedPrecondition(shelf.Begin(Digest{}, 5).status()));
}

}  // namespace
}  // namespace mortar
