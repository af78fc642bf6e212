// Goal: a rank without a file gets the layers that it hosts, proven, and keeps no others; what is
// not what its digest says, or never comes, is an error.
#include "cli/distribute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "engine/brick/digest.h"
#include "tests/support/local_mpi.h"
#include "tests/support/tiny_model.h"
#include "tests/support/uneven_clocks.h"

namespace mortar {
namespace {

using testing::HasSubstr;

HostedModel Tiny() {
  HostedModel model;
  // Bricks of several pieces.
  model.file = *GgufFile::FromBytes(
      MakeTinyModel({.n_embd = 256, .n_ff = 512, .n_layers = 4}).Bytes(), "tiny");
  model.config = *ReadModelConfig(*model.file);
  model.manifest = *BuildManifest(*model.file, 4);
  for (Brick& brick : model.manifest.bricks) brick.digest = DigestBrick(*model.file, brick);
  return model;
}

class DistributeTest : public testing::Test {
 protected:
  MpiBroadcast Of(int rank, absl::Status check = {}) {
    return {mpi_.functions(), mpi_.job(rank), clock_, [check] { return check; }};
  }
  absl::StatusOr<HostedModel> Take(LayerRange own, int rank = 1) {
    MpiBroadcast broadcast = Of(rank);
    return TakeModel([own](int) -> absl::StatusOr<LayerRange> { return own; }, broadcast);
  }

  LocalMpi mpi_{3};
  HurriedClock clock_{std::chrono::seconds(1)};
};

TEST_F(DistributeTest, EachRankGetsTheTensorsOfItsLayersAndNoOthers) {
  const HostedModel model = Tiny();
  MpiBroadcast root = Of(0);
  ASSERT_TRUE(SendModel(model, root).ok());
  EXPECT_GT(root.bytes(), 4 * kMpiPieceBytes);
  int rank = 0;
  for (const LayerRange own : {LayerRange{1, 2}, LayerRange{2, 3}}) {
    const auto taken = Take(own, ++rank);
    ASSERT_TRUE(taken.ok()) << taken.status();
    EXPECT_EQ(taken->manifest.bricks, model.manifest.bricks);
    for (const TensorInfo& tensor : taken->file->tensors()) {
      const bool is_own = tensor.name.starts_with("blk." + std::to_string(own.begin) + ".");
      EXPECT_EQ(tensor.part != kNoPart, is_own) << tensor.name;
      if (!is_own) continue;
      EXPECT_TRUE(std::ranges::equal(taken->file->Data(tensor),
                                     model.file->Data(*model.file->FindTensor(tensor.name))));
    }
  }
}

TEST_F(DistributeTest, ABrickWithOtherBytesIsNamed) {
  HostedModel model = Tiny();
  model.manifest.bricks[3].digest = Digest{};  // what is sent has another
  MpiBroadcast root = Of(0);
  ASSERT_TRUE(SendModel(model, root).ok());
  const auto taken = Take({2, 3});
  EXPECT_TRUE(absl::IsDataLoss(taken.status()));
  EXPECT_THAT(Message(taken.status()), HasSubstr("layers.2"));
}

TEST_F(DistributeTest, AnOutlineOfNoSizeOrOfAHugeOneIsRefused) {
  for (const uint64_t bytes : {uint64_t{0}, ~uint64_t{0}}) {
    mpi_.PutBroadcast(0, {reinterpret_cast<const char*>(&bytes), sizeof bytes});
    EXPECT_TRUE(absl::IsInvalidArgument(Take({1, 2}).status()));
  }
}

TEST_F(DistributeTest, AModelWithAPrivateBrickIsNotSent) {
  HostedModel model = Tiny();
  model.manifest.bricks[2].sensitivity = Sensitivity::kPrivate;
  MpiBroadcast root = Of(0);
  EXPECT_TRUE(absl::IsFailedPrecondition(SendModel(model, root)));
  EXPECT_EQ(root.bytes(), 0u);
}

TEST_F(DistributeTest, AJobThatWasSuspendedGoesOn) {
  const SuspendedClock clock([this] { mpi_.LetGo(); });
  mpi_.Hold();
  MpiBroadcast broadcast(mpi_.functions(), mpi_.job(1), clock, [] { return absl::OkStatus(); });
  uint8_t byte = 0;
  const absl::Status came = broadcast.Share({&byte, 1});
  EXPECT_TRUE(came.ok()) << came;
}

TEST_F(DistributeTest, WhatDoesNotComeIsGivenUpAndASignalIsHeeded) {
  mpi_.Hold();
  EXPECT_THAT(Message(Take({1, 2}).status()), HasSubstr("has not come within 60 s"));
  MpiBroadcast broadcast = Of(2, absl::CancelledError("a signal"));
  uint8_t byte = 0;
  EXPECT_TRUE(absl::IsCancelled(broadcast.Share({&byte, 1})));
}

}  // namespace
}  // namespace mortar
