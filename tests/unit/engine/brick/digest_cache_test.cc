// Goal: digests are computed once for a state of a file; a sidecar that is stale, damaged or of
// other bricks is never believed.
#include "engine/brick/digest_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <utility>

#include "engine/brick/digest.h"
#include "tests/support/split_model.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

namespace fs = std::filesystem;

class DigestCache : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::path(::testing::TempDir()) /
            ("mortar_cache_" + std::to_string(getpid()) + "_" + info->name());
    fs::create_directories(root_);
    model_ = (root_ / "model.gguf").string();
    folder_ = (root_ / "cache" / "digests").string();
    WriteTinyModel({.n_embd = 32, .n_ff = 32, .n_layers = 1, .type = TensorType::kQ8_0}, model_);
  }
  void TearDown() override { fs::remove_all(root_); }

  // What a process does that opens the model: its digests, and how they came.
  std::pair<Manifest, DigestOutcome> Run() const {
    const auto file = *GgufFile::Open(model_);
    Manifest manifest = *BuildManifest(*file, 1);
    DigestOutcome outcome = AddDigests(*file, folder_, manifest);
    return {manifest, outcome};
  }
  // The digests by the file's bytes, without any cache.
  std::vector<Brick> Truth() const {
    const auto file = *GgufFile::Open(model_);
    Manifest manifest = *BuildManifest(*file, 1);
    for (Brick& brick : manifest.bricks) brick.digest = DigestBrick(*file, brick);
    return manifest.bricks;
  }
  std::string Beside() const { return SidecarBeside(model_); }
  static std::string ReadAll(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void WriteAll(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  }

  fs::path root_;
  std::string model_;
  std::string folder_;
};

TEST_F(DigestCache, ComputesOnceAndThenReadsTheSidecarBesideTheModel) {
  const auto [first, how_first] = Run();
  EXPECT_TRUE(how_first.computed);
  EXPECT_EQ(how_first.sidecar, Beside());
  EXPECT_TRUE(how_first.kept.ok());
  EXPECT_EQ(first.bricks, Truth());

  const auto [second, how_second] = Run();
  EXPECT_FALSE(how_second.computed);
  EXPECT_EQ(how_second.sidecar, Beside());
  EXPECT_EQ(second, first);
  EXPECT_FALSE(fs::exists(folder_));  // nobody needed it
}

TEST_F(DigestCache, LeavesNoTemporaryFiles) {
  Run();
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(root_)) names.push_back(entry.path().filename());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("model.gguf", "model.gguf.digests"));
}

TEST_F(DigestCache, UsesTheFolderWhereTheModelsOwnCannotBeWritten) {
  // A folder in the sidecar's place stands for every reason why it cannot be written: tests
  // may run as root, whom permissions do not stop.
  fs::create_directory(Beside());
  const auto [first, how_first] = Run();
  EXPECT_TRUE(how_first.computed);
  EXPECT_TRUE(how_first.kept.ok()) << Message(how_first.kept);
  EXPECT_EQ(how_first.sidecar, SidecarIn(folder_, model_));
  const auto [second, how_second] = Run();
  EXPECT_FALSE(how_second.computed);
  EXPECT_EQ(second.bricks, Truth());
}

TEST_F(DigestCache, SaysWhyDigestsCouldBeKeptNowhere) {
  fs::create_directory(Beside());
  WriteAll((root_ / "cache").string(), "a file where a folder should be");
  const auto [manifest, outcome] = Run();
  EXPECT_TRUE(outcome.computed);
  EXPECT_EQ(outcome.sidecar, "");
  EXPECT_THAT(Message(outcome.kept), ::testing::HasSubstr("cannot make this folder"));
  EXPECT_EQ(manifest.bricks, Truth());
}

TEST_F(DigestCache, AChangedModelIsComputedAnew) {
  Run();
  // Another seed: the same size; the time of modification and the bytes differ.
  WriteTinyModel({.n_embd = 32, .n_ff = 32, .n_layers = 1, .type = TensorType::kQ8_0, .seed = 2},
                 model_);
  const auto [manifest, outcome] = Run();
  EXPECT_TRUE(outcome.computed);
  EXPECT_EQ(manifest.bricks, Truth());
  EXPECT_FALSE(Run().second.computed);
}

TEST_F(DigestCache, TheTimeAloneMakesASidecarStale) {
  Run();
  struct stat info = {};
  ASSERT_EQ(stat(model_.c_str(), &info), 0);
  timespec times[2] = {info.st_atim, info.st_mtim};
  times[1].tv_nsec = (times[1].tv_nsec + 1) % 1'000'000'000;
  ASSERT_EQ(utimensat(AT_FDCWD, model_.c_str(), times, 0), 0);
  EXPECT_TRUE(Run().second.computed);
}

TEST_F(DigestCache, ACopyWithTheSameSizeAndTimeHasAnotherInode) {
  Run();
  const auto time = fs::last_write_time(model_);
  const std::string copy = model_ + ".copy";
  WriteTinyModel({.n_embd = 32, .n_ff = 32, .n_layers = 1, .type = TensorType::kQ8_0, .seed = 2},
                 copy);
  fs::last_write_time(copy, time);
  fs::rename(copy, model_);
  const auto [manifest, outcome] = Run();
  EXPECT_TRUE(outcome.computed);
  EXPECT_EQ(manifest.bricks, Truth());
}

TEST_F(DigestCache, EverySpoiledByteOfASidecarIsNoticed) {
  const std::vector<Brick> truth = Run().first.bricks;
  const std::string good = ReadAll(Beside());
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 1;
    WriteAll(Beside(), bad);
    const auto [manifest, outcome] = Run();
    EXPECT_TRUE(outcome.computed) << "byte " << i;
    EXPECT_EQ(manifest.bricks, truth) << "byte " << i;
  }
}

TEST_F(DigestCache, ACutOrExtendedSidecarIsNoticedAndMended) {
  Run();
  const std::string good = ReadAll(Beside());
  for (const std::string& bad : {std::string(), good.substr(0, 1), good.substr(0, good.size() / 2),
                                 good.substr(0, good.size() - 1), good + "\n", good + good}) {
    WriteAll(Beside(), bad);
    EXPECT_TRUE(Run().second.computed) << bad.size() << " bytes";
    EXPECT_EQ(ReadAll(Beside()), good);
  }
  fs::resize_file(Beside(), 16 << 20);
  EXPECT_TRUE(Run().second.computed);
}

TEST_F(DigestCache, AModelOfSeveralFilesHasOneForAll) {
  const auto files = SplitModel(MakeTinyModel({.n_embd = 32, .n_ff = 32, .n_layers = 1}), 3);
  const std::string stem = (root_ / "split").string();
  for (int no = 0; no < 3; ++no) files[static_cast<size_t>(no)].WriteTo(SplitPath(stem, no, 3));
  model_ = SplitPath(stem, 0, 3);
  EXPECT_TRUE(Run().second.computed);
  const auto [manifest, outcome] = Run();
  EXPECT_FALSE(outcome.computed);
  EXPECT_EQ(outcome.sidecar, Beside());
  EXPECT_EQ(manifest.bricks, Truth());
  const std::string last = SplitPath(stem, 2, 3);
  fs::last_write_time(last, fs::last_write_time(last) + std::chrono::seconds(1));
  EXPECT_TRUE(Run().second.computed) << "the last file is another one";
  EXPECT_FALSE(Run().second.computed);
}

TEST_F(DigestCache, BytesInMemoryHaveNoSidecar) {
  const std::string text = ReadAll(model_);
  const std::span bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  const auto file = *GgufFile::FromBytes(bytes, model_);
  Manifest manifest = *BuildManifest(*file, 1);
  const DigestOutcome outcome = AddDigests(*file, folder_, manifest);
  EXPECT_TRUE(outcome.computed);
  EXPECT_EQ(outcome.sidecar, "");
  EXPECT_TRUE(outcome.kept.ok());
  EXPECT_FALSE(fs::exists(Beside()));
  EXPECT_EQ(manifest.bricks, Truth());
}

}  // namespace
}  // namespace mortar
