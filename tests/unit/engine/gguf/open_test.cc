// Goal: opening a file: what is no model file is refused in one line, pages can be given back,
// and a header as large as a real model's is read in milliseconds.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "common/clock.h"
#include "engine/gguf/gguf.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

// A folder of its own for each test, removed after it.
class OpenGguf : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ("mortar_gguf_" + std::to_string(getpid()) + "_" + info->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string Error(const std::string& path) {
    return Message(GgufFile::Open(path).status());
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(OpenGguf, RefusesWhatIsNoFile) {
  const std::string missing = Path("missing.gguf");
  EXPECT_EQ(Error(missing), missing + ": cannot open it: No such file or directory");
  EXPECT_EQ(GgufFile::Open(missing).status().code(), absl::StatusCode::kNotFound);

  const std::string folder = Path("");
  EXPECT_EQ(Error(folder), folder + ": is a directory, expected a file");

  const std::string pipe = Path("pipe");  // without a writer: must not wait for one
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(Error(pipe), pipe + ": is not a regular file");
}

TEST_F(OpenGguf, RefusesEmptyAndForeignFiles) {
  const std::string path = Path("model.gguf");
  std::ofstream(path).close();
  EXPECT_EQ(Error(path), path + ": the file is empty (is the download complete?)");
  std::ofstream(path) << "GG";
  EXPECT_EQ(Error(path), path +
                             ": not a GGUF file: expected 4 bytes at offset 0, but the file ends "
                             "at 2 (is the download complete?)");
  std::ofstream(path) << "version https://example.org/spec";
  EXPECT_EQ(Error(path), path + ": not a GGUF file: it begins with 'vers', expected 'GGUF'");
}

TEST_F(OpenGguf, RefusesAFileCutAtEverySixtyFourth) {
  const std::string path = Path("model.gguf");
  WriteTinyModel({.n_layers = 1}, path);
  ASSERT_TRUE(GgufFile::Open(path).ok());
  const uint64_t whole = std::filesystem::file_size(path);
  for (uint64_t part = 63; part > 0; --part) {
    std::filesystem::resize_file(path, whole * part / 64);
    const absl::Status status = GgufFile::Open(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << part << "/64: " << Message(status);
    EXPECT_THAT(Message(status), ::testing::HasSubstr("(is the download complete?)"));
  }
}

TEST_F(OpenGguf, MapsTheSameContentsAsFromBytes) {
  const GgufWriter writer = MakeTinyModel({.n_layers = 1, .type = TensorType::kQ4_1});
  const std::string path = Path("model.gguf");
  writer.WriteTo(path);
  const auto mapped = *GgufFile::Open(path);
  const auto held = *GgufFile::FromBytes(writer.Bytes(), path);
  EXPECT_EQ(mapped->metadata(), held->metadata());
  ASSERT_EQ(mapped->tensors().size(), held->tensors().size());
  for (const TensorInfo& tensor : mapped->tensors()) {
    const TensorInfo* const other = held->FindTensor(tensor.name);
    ASSERT_NE(other, nullptr);
    EXPECT_TRUE(std::ranges::equal(mapped->Data(tensor), held->Data(*other)));
  }
}

// How many pages of a span the kernel maps for this process: those that count as resident.
int ResidentPages(std::span<const uint8_t> part) {
  const int pagemap = open("/proc/self/pagemap", O_RDONLY);
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uint64_t>(part.data());
  int resident = 0;
  for (uint64_t i = address / page; i <= (address + part.size() - 1) / page; ++i) {
    uint64_t entry = 0;
    EXPECT_EQ(pread(pagemap, &entry, sizeof(entry), static_cast<off_t>(i * sizeof(entry))), 8);
    resident += static_cast<int>(entry >> 63);
  }
  close(pagemap);
  return resident;
}

TEST_F(OpenGguf, GivesPagesBackAndReadsThemAgain) {
  GgufWriter writer;
  std::vector<float> values(1 << 18);
  std::iota(values.begin(), values.end(), 0.0f);
  writer.AddTensor("before", TensorType::kF32, {1024}, std::span(values).first(1024));
  writer.AddTensor("large", TensorType::kF32, {values.size()}, values);
  const std::string path = Path("model.gguf");
  writer.WriteTo(path);

  const auto file = *GgufFile::Open(path);
  const TensorInfo& large = *file->FindTensor("large");
  const auto sum = [&] {
    const auto data = file->Data(large);
    return std::accumulate(data.begin(), data.end(), uint64_t{0});
  };
  const uint64_t before = sum();
  EXPECT_GE(ResidentPages(file->Data(large)), 256);
  file->DropPages(large);
  // The first page is shared with the tensor before, and is kept.
  EXPECT_LE(ResidentPages(file->Data(large)), 1);
  EXPECT_EQ(sum(), before);
}

TEST_F(OpenGguf, SaysThatTheFileWasWrittenToAndNotThatItWasReplaced) {
  GgufWriter writer;
  writer.AddTensor("t", TensorType::kF32, {1024}, std::vector<float>(1024, 1.0f));
  EXPECT_TRUE((*GgufFile::FromBytes(writer.Bytes(), "memory"))->CheckUnchanged().ok());
  const std::string path = Path("model.gguf"), other = Path("other.gguf");
  const auto later = [&](const std::string& file) {  // as if the clock had ticked since
    std::filesystem::last_write_time(
        file, std::filesystem::last_write_time(file) + std::chrono::seconds(1));
  };
  writer.WriteTo(path);
  writer.WriteTo(other);
  const auto replaced = *GgufFile::Open(path);
  EXPECT_TRUE(replaced->CheckUnchanged().ok());
  std::filesystem::rename(other, path);
  later(path);
  EXPECT_TRUE(replaced->CheckUnchanged().ok()) << "it has the old file still";

  const auto written = *GgufFile::Open(path);
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out).seekp(-1, std::ios::end)
      << 'x';
  later(path);
  EXPECT_THAT(Message(written->CheckUnchanged()),
              ::testing::HasSubstr("model.gguf: was written to since this process opened it"));
  const auto cut_short = *GgufFile::Open(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(cut_short->CheckUnchanged()));
}

TEST_F(OpenGguf, ReadsAHeaderAsLargeAsARealOneQuickly) {
  // SmolLM2's header: 49,152 tokens, 48,900 merges, 272 tensors; 1.7 MB.
  GgufWriter writer;
  std::vector<std::string> tokens(49'152), merges(48'900);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = "token" + std::to_string(i);
  for (size_t i = 0; i < merges.size(); ++i) merges[i] = "left " + std::to_string(i);
  writer.AddStrings("tokenizer.ggml.tokens", tokens);
  writer.AddStrings("tokenizer.ggml.merges", merges);
  writer.AddInts("tokenizer.ggml.token_type", std::vector<int32_t>(tokens.size(), 1));
  for (int i = 0; i < 272; ++i) {
    writer.AddTensor("tensor." + std::to_string(i), TensorType::kF32, {1}, std::vector<float>{1});
  }
  const std::string path = Path("model.gguf");
  writer.WriteTo(path);

  const SteadyClock clock;
  double ms_min = 1e9;
  for (int run = 0; run < 5; ++run) {
    const Time begin = clock.Now();
    ASSERT_TRUE(GgufFile::Open(path).ok());
    ms_min = std::min(ms_min, Milliseconds(clock.Now() - begin));
  }
  std::printf("opened 98,052 strings and 272 tensors in %.1f ms (best of 5)\n", ms_min);
#if defined(NDEBUG) && !defined(MORTAR_SANITIZED)
  EXPECT_LT(ms_min, 25);
#else
  EXPECT_LT(ms_min, 1000);  // unoptimised, or ten times slower under a sanitizer
#endif
}

}  // namespace
}  // namespace mortar
