// Goal: a folder of bricks holds what was proven and nothing else, keeps within its bytes by
// forgetting what was used longest ago, goes on where a fetch ended, and hashes nothing twice.
#include "engine/brick/cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "engine/brick/digest.h"

namespace mortar {
namespace {

using testing::HasSubstr;

std::vector<uint8_t> Filled(uint8_t with, size_t n = 1000) { return std::vector<uint8_t>(n, with); }

class BrickCacheTest : public testing::Test {
 protected:
  BrickCacheTest()
      : folder_(::testing::TempDir() + "/mortar_bricks_" + std::to_string(getpid()) + "_" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
  }
  ~BrickCacheTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<BrickCache> Open(uint64_t bytes_max = 1 << 20) {
    auto cache = BrickCache::Open(folder_ + "/a", bytes_max);
    EXPECT_TRUE(cache.ok()) << cache.status();
    return *std::move(cache);
  }
  static Digest Put(BrickCache& cache, const std::vector<uint8_t>& bytes) {
    const Digest digest = DigestOf(bytes);
    EXPECT_TRUE(cache.Begin(digest, bytes.size()).ok());
    EXPECT_TRUE(cache.Append(digest, 0, bytes).ok());
    EXPECT_TRUE(cache.Finish(digest).ok());
    return digest;
  }
  std::string FileOf(const Digest& digest, const std::string& end) {
    return folder_ + "/a/" + ToHex(digest) + end;
  }

  const std::string folder_;
};

TEST_F(BrickCacheTest, KeepsABrickOverStartsAndHashesItOnce) {
  Digest digest;
  {
    const auto cache = Open();
    digest = Put(*cache, Filled(1));
    EXPECT_EQ(cache->Find(digest), 1000u);
  }
  const auto again = Open();
  EXPECT_EQ(again->hashed(), 0);
  EXPECT_TRUE(again->Begin(digest, 1000)->whole);
  EXPECT_THAT(again->Map(digest)->span(), testing::ElementsAreArray(Filled(1)));
}

TEST_F(BrickCacheTest, GoesOnWhereAFetchEndedAlsoAfterAStart) {
  const std::vector<uint8_t> bytes = Filled(3);
  const Digest digest = DigestOf(bytes);
  {
    const auto cache = Open();
    EXPECT_EQ(cache->Begin(digest, 1000)->bytes, 0u);
    ASSERT_TRUE(cache->Append(digest, 0, std::span(bytes).first(300)).ok());
  }
  const auto cache = Open();
  EXPECT_FALSE(cache->Find(digest).has_value());
  const auto begun = cache->Begin(digest, 1000);
  EXPECT_FALSE(begun->whole);
  EXPECT_EQ(begun->bytes, 300u);
  ASSERT_TRUE(cache->Append(digest, 300, std::span(bytes).subspan(300)).ok());
  EXPECT_TRUE(cache->Finish(digest).ok());
  EXPECT_EQ(cache->Find(digest), 1000u);
  EXPECT_FALSE(std::filesystem::exists(FileOf(digest, ".part")));
}

TEST_F(BrickCacheTest, OtherBytesThanTheDigestsAreGone) {
  const auto cache = Open();
  const Digest digest = DigestOf(Filled(1));
  ASSERT_TRUE(cache->Begin(digest, 1000).ok());
  ASSERT_TRUE(cache->Append(digest, 0, Filled(2)).ok());
  EXPECT_TRUE(absl::IsDataLoss(cache->Finish(digest)));
  EXPECT_FALSE(cache->Find(digest).has_value());
  EXPECT_EQ(cache->bytes(), 0u);
  EXPECT_EQ(cache->Begin(digest, 1000)->bytes, 0u);
}

TEST_F(BrickCacheTest, WhatWasUsedLongestAgoGoesFirstAndWhatIsInUseStays) {
  const auto cache = Open(3500);
  const Digest first = Put(*cache, Filled(1));
  const Digest second = Put(*cache, Filled(2));
  const Digest third = Put(*cache, Filled(3));
  cache->Keep({first});  // used again
  cache->Keep({});
  const Digest fourth = Put(*cache, Filled(4));
  EXPECT_TRUE(cache->Find(first).has_value());
  EXPECT_FALSE(cache->Find(second).has_value());
  EXPECT_FALSE(std::filesystem::exists(FileOf(second, ".brick")));
  cache->Keep({third});
  Put(*cache, Filled(5));
  EXPECT_TRUE(cache->Find(third).has_value());
  EXPECT_FALSE(cache->Find(first).has_value());
  EXPECT_TRUE(cache->Find(fourth).has_value());
  EXPECT_LE(cache->bytes(), 3500u);
}

TEST_F(BrickCacheTest, WhatIsInUseStaysHoweverLongAgoThatBegan) {
  const auto cache = Open(2500);
  const Digest in_use = Put(*cache, Filled(1));
  cache->Keep({in_use});
  for (uint8_t i = 2; i < 6; ++i) Put(*cache, Filled(i));
  EXPECT_TRUE(cache->Find(in_use).has_value());
  EXPECT_LE(cache->bytes(), 2500u);
}

TEST_F(BrickCacheTest, TheOrderOfUseOutlivesAStart) {
  Digest first, second;
  {
    const auto cache = Open(2500);
    first = Put(*cache, Filled(1));
    second = Put(*cache, Filled(2));
    cache->Keep({first});
  }
  const auto cache = Open(2500);
  Put(*cache, Filled(3));
  EXPECT_TRUE(cache->Find(first).has_value());
  EXPECT_FALSE(cache->Find(second).has_value());
}

TEST_F(BrickCacheTest, HalvesOfOthersGoBeforeWhatIsWhole) {
  const auto cache = Open(2500);
  const Digest whole = Put(*cache, Filled(1));
  const Digest half = DigestOf(Filled(2));
  ASSERT_TRUE(cache->Begin(half, 1000).ok());
  ASSERT_TRUE(cache->Append(half, 0, Filled(2, 900)).ok());
  Put(*cache, Filled(3));
  EXPECT_TRUE(cache->Find(whole).has_value());
  EXPECT_FALSE(std::filesystem::exists(FileOf(half, ".part")));
}

TEST_F(BrickCacheTest, MoreThanItMayHaveIsRefusedWithTheNumbers) {
  const auto cache = Open(1500);
  const Digest in_use = Put(*cache, Filled(1));
  cache->Keep({in_use});
  const auto begun = cache->Begin(DigestOf(Filled(2)), 1000);
  EXPECT_TRUE(absl::IsResourceExhausted(begun.status()));
  EXPECT_THAT(Message(begun.status()), HasSubstr("1000 more bytes"));
  EXPECT_THAT(Message(begun.status()), HasSubstr("1500"));
  // Also of one whose size nobody has said.
  const Digest unknown = DigestOf(Filled(3));
  ASSERT_TRUE(cache->Begin(unknown, 0).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(cache->Append(unknown, 0, Filled(3))));
  EXPECT_TRUE(cache->Find(in_use).has_value());
}

TEST_F(BrickCacheTest, WhatCanNeverFitCostsNothingThatIsHere) {
  const auto cache = Open(2500);
  const Digest in_use = Put(*cache, Filled(1));
  const Digest other = Put(*cache, Filled(2));
  cache->Keep({in_use});
  for (const uint64_t bytes : {uint64_t{1501}, uint64_t{1} << 40, ~uint64_t{0}}) {
    const auto begun = cache->Begin(DigestOf(Filled(3)), bytes);
    EXPECT_TRUE(absl::IsResourceExhausted(begun.status())) << bytes;
  }
  EXPECT_TRUE(cache->Find(other).has_value());
  EXPECT_TRUE(std::filesystem::exists(FileOf(other, ".brick")));
  EXPECT_TRUE(cache->Begin(DigestOf(Filled(3)), 1500).ok());
  EXPECT_FALSE(cache->Find(other).has_value());
}

TEST_F(BrickCacheTest, ABegunOneWhoseFileIsAnotherBeginsAnew) {
  const auto cache = Open();
  const std::vector<uint8_t> bytes = Filled(3);
  const Digest digest = DigestOf(bytes);
  ASSERT_TRUE(cache->Begin(digest, 1000).ok());
  ASSERT_TRUE(cache->Append(digest, 0, std::span(bytes).first(300)).ok());
  std::filesystem::resize_file(FileOf(digest, ".part"), 200);
  EXPECT_EQ(cache->Begin(digest, 1000)->bytes, 0u);
  ASSERT_TRUE(cache->Append(digest, 0, std::span(bytes).first(300)).ok());
  std::filesystem::remove(FileOf(digest, ".part"));
  EXPECT_EQ(cache->Begin(digest, 1000)->bytes, 0u);
  EXPECT_EQ(cache->bytes(), 0u);
}

TEST_F(BrickCacheTest, ABrickThatCannotBeReadIsSaidAndStays) {
  const Digest digest = DigestOf(Filled(1));
  std::filesystem::create_directories(FileOf(digest, ".brick"));  // no file: cannot be read
  const auto cache = BrickCache::Open(folder_ + "/a", 1 << 20);
  EXPECT_THAT(Message(cache.status()), HasSubstr(FileOf(digest, ".brick")));
  EXPECT_TRUE(std::filesystem::exists(FileOf(digest, ".brick")));
}

TEST_F(BrickCacheTest, APipeUnderABricksNameIsSaidAndNotWaitedFor) {
  std::filesystem::create_directories(folder_ + "/a");
  const std::string path = FileOf(DigestOf(Filled(2)), ".brick");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const auto cache = BrickCache::Open(folder_ + "/a", 1 << 20);
  EXPECT_THAT(Message(cache.status()), HasSubstr(path + ": is a pipe"));
}

TEST_F(BrickCacheTest, OtherFilesOfTheFolderAreNotLookedAtAndHalfWrittenIndexesGo) {
  Digest digest;
  {
    const auto cache = Open();
    digest = Put(*cache, Filled(1));
  }
  std::ofstream(folder_ + "/a/index.abcdef") << "half";
  std::filesystem::create_symlink("nowhere", folder_ + "/a/a link to nothing");
  const auto cache = Open();
  ASSERT_NE(cache, nullptr);
  EXPECT_EQ(cache->hashed(), 0);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/a/index.abcdef"));
}

// A brick of a gigabyte is hashed and synced for seconds; a file that nobody writes to stands for
// it: opening it waits, as a slow disk does.
TEST_F(BrickCacheTest, NobodyWaitsForItsFiles) {
  const auto cache = Open();
  const Digest here = Put(*cache, Filled(1));
  const Digest slow = DigestOf(Filled(2));
  ASSERT_TRUE(cache->Begin(slow, 1000).ok());
  const std::string path = FileOf(slow, ".part");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread job([&] { (void)cache->Append(slow, 0, Filled(2)); });  // until somebody reads it
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto loop = std::async(std::launch::async, [&] {
    cache->Keep({here});
    return cache->Find(here).has_value();
  });
  EXPECT_EQ(loop.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  job.join();
  close(reader);
}

TEST_F(BrickCacheTest, AFileThatWasChangedIsHashedAnewAndGoesWhenItIsAnother) {
  Digest kept, changed;
  {
    const auto cache = Open();
    kept = Put(*cache, Filled(1));
    changed = Put(*cache, Filled(2));
  }
  std::filesystem::last_write_time(FileOf(kept, ".brick"),
                                   std::filesystem::file_time_type::clock::now());
  std::ofstream(FileOf(changed, ".brick"), std::ios::binary) << "another brick";
  const auto cache = Open();
  EXPECT_EQ(cache->hashed(), 2);
  EXPECT_EQ(cache->Find(kept), 1000u);
  EXPECT_FALSE(cache->Find(changed).has_value());
  EXPECT_FALSE(std::filesystem::exists(FileOf(changed, ".brick")));
}

TEST_F(BrickCacheTest, AFileThatIsChangedWhileItIsHereIsNotUsed) {
  const auto cache = Open();
  const Digest digest = Put(*cache, Filled(1));
  std::ofstream(FileOf(digest, ".brick"), std::ios::binary) << "another brick";
  EXPECT_TRUE(absl::IsFailedPrecondition(cache->Map(digest).status()));
  EXPECT_FALSE(cache->Begin(digest, 1000)->whole) << "it is fetched again";
}

TEST_F(BrickCacheTest, ADamagedIndexCostsAHashAndNoBrick) {
  Digest digest;
  {
    const auto cache = Open();
    digest = Put(*cache, Filled(1));
  }
  {
    std::fstream index(folder_ + "/a/index", std::ios::binary | std::ios::in | std::ios::out);
    index.seekg(100);
    const int there = index.get();
    index.seekp(100);
    index.put(there == '7' ? '8' : '7');
  }
  {
    const auto cache = Open();
    EXPECT_EQ(cache->hashed(), 1);
    EXPECT_EQ(cache->Find(digest), 1000u);
  }
  EXPECT_EQ(Open()->hashed(), 0);
}

TEST_F(BrickCacheTest, AnotherProcessMayNotHaveItAtTheSameTime) {
  const auto cache = Open();
  const auto second = BrickCache::Open(folder_ + "/a", 1000);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_THAT(Message(second.status()), HasSubstr("another process"));
}

TEST_F(BrickCacheTest, AFolderThatCannotBeMadeIsSaid) {
  std::filesystem::create_directories(folder_);
  std::ofstream(folder_ + "/file") << "x";
  const auto cache = BrickCache::Open(folder_ + "/file/a", 1000);
  EXPECT_THAT(Message(cache.status()), HasSubstr(folder_ + "/file/a"));
}

}  // namespace
}  // namespace mortar
