// Goal: a model that is split over several files is the model of one file; files that are missing
// or do not belong together are named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "engine/gguf/gguf.h"
#include "tests/support/split_model.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using testing::HasSubstr;

constexpr int kFiles = 3;

class SplitGguf : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::path(::testing::TempDir()) / ("mortar_split_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    whole_ = MakeTinyModel({});
    files_ = SplitModel(whole_, kFiles);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(int no) const { return SplitPath((folder_ / "tiny").string(), no, kFiles); }
  void WriteAll() const {
    for (int no = 0; no < kFiles; ++no) files_[static_cast<size_t>(no)].WriteTo(Path(no));
  }
  std::string ErrorOf(const std::string& path) const {
    return Message(GgufFile::Open(path).status());
  }
  std::string Error() const {
    WriteAll();
    return ErrorOf(Path(0));
  }

  GgufWriter whole_;
  std::vector<GgufWriter> files_;
  std::filesystem::path folder_;
};

TEST_F(SplitGguf, IsTheModelOfOneFile) {
  WriteAll();
  const auto split = GgufFile::Open(Path(0));
  ASSERT_TRUE(split.ok()) << split.status();
  const auto whole = *GgufFile::FromBytes(whole_.Bytes(), "whole.gguf");
  EXPECT_EQ(*(*split)->GetStrings("tokenizer.ggml.tokens").value(),
            *whole->GetStrings("tokenizer.ggml.tokens").value());
  ASSERT_EQ((*split)->tensors().size(), whole->tensors().size());
  for (const TensorInfo& tensor : whole->tensors()) {
    const TensorInfo* found = (*split)->FindTensor(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal((*split)->Data(*found), whole->Data(tensor))) << tensor.name;
  }
  uint64_t bytes = 0;
  for (int no = 0; no < kFiles; ++no) bytes += std::filesystem::file_size(Path(no));
  EXPECT_EQ((*split)->file_bytes(), bytes);
}

TEST_F(SplitGguf, NamesTheFileThatWasWrittenTo) {
  WriteAll();
  const auto split = *GgufFile::Open(Path(0));
  EXPECT_TRUE(split->CheckUnchanged().ok());
  std::filesystem::resize_file(Path(1), std::filesystem::file_size(Path(1)) - 1);
  EXPECT_THAT(Message(split->CheckUnchanged()),
              testing::StartsWith(Path(1) + ": was written to since this process opened it"));
}

TEST_F(SplitGguf, OneFileThatSaysSoIsWhole) {
  whole_ = SplitModel(whole_, 1)[0];
  whole_.WriteTo(Path(0));
  EXPECT_TRUE(GgufFile::Open(Path(0)).ok());
}

TEST_F(SplitGguf, AMissingOrBrokenFileIsNamed) {
  WriteAll();
  std::filesystem::remove(Path(2));
  EXPECT_EQ(ErrorOf(Path(0)), Path(2) + ": cannot open it: No such file or directory");
  std::filesystem::create_directory(Path(2));
  EXPECT_EQ(ErrorOf(Path(0)), Path(2) + ": is a directory, expected a file");
  std::filesystem::resize_file(Path(1), std::filesystem::file_size(Path(1)) - 64);
  EXPECT_THAT(ErrorOf(Path(0)), testing::StartsWith(Path(1) + ": tensor "));
}

TEST_F(SplitGguf, TheFirstFileIsAskedFor) {
  WriteAll();
  EXPECT_EQ(ErrorOf(Path(1)), Path(1) + ": is file 2 of 3 of a model; give the first, " + Path(0));
  const std::string renamed = (folder_ / "tiny.gguf").string();
  std::filesystem::rename(Path(0), renamed);
  EXPECT_EQ(ErrorOf(renamed), renamed +
                                  ": is file 1 of 3 of a model, whose name should end with "
                                  "-00001-of-00003.gguf, so that the others are found");
}

TEST_F(SplitGguf, BytesInMemoryOpenNoFile) {
  WriteAll();
  EXPECT_THAT(Message(GgufFile::FromBytes(files_[0].Bytes(), Path(0)).status()),
              testing::StartsWith(Path(0) + ": is file 1 of 3 of a model"));
}

TEST_F(SplitGguf, FilesThatDoNotBelongTogetherAreRefused) {
  std::swap(files_[1], files_[2]);
  EXPECT_EQ(Error(), Path(1) + ": is file 3 of 3, expected file 2 of 3");
  files_[1] = whole_;
  EXPECT_EQ(Error(), Path(1) + ": is file 1 of 1, expected file 2 of 3");
}

TEST_F(SplitGguf, TensorsAreCounted) {
  const std::string n = std::to_string(whole_.tensors.size());
  const GgufWriter last = files_[2];
  files_[2].tensors.pop_back();
  EXPECT_EQ(Error(), Path(0) + ": its 3 files hold " + std::to_string(whole_.tensors.size() - 1) +
                         " tensors, key 'split.tensors.count' says " + n);
  files_[2] = last;
  files_[2].tensors.back().name = files_[0].tensors[0].name;
  EXPECT_EQ(Error(), Path(0) + ": tensor '" + files_[0].tensors[0].name + "' occurs twice");
  files_[2] = last;
  files_[2].tensors.push_back(files_[0].tensors[0]);
  EXPECT_EQ(Error(), Path(2) + ": has more tensors than the " + n +
                         " of all files that the first one tells of");
}

TEST_F(SplitGguf, NumbersThatCannotBeAreRefused) {
  const auto with = [&](const char* key, uint16_t value) {
    const GgufWriter before = files_[0];
    files_[0].FindKey(key).value = {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8)};
    const std::string error = Error();
    files_[0] = before;
    return error;
  };
  EXPECT_THAT(with("split.no", 3), HasSubstr("key 'split.no' is 3 of 3 files, counted from 0"));
  EXPECT_THAT(with("split.count", 513), HasSubstr("split over 513 files, the limit is 512"));
  std::erase_if(files_[0].keys, [](const auto& key) { return key.name == "split.tensors.count"; });
  EXPECT_THAT(Error(), HasSubstr("key 'split.tensors.count' is missing"));
  files_[0].AddInt32("split.tensors.count", -1);
  EXPECT_THAT(Error(), HasSubstr("expected an unsigned integer, found -1"));
}

}  // namespace
}  // namespace mortar
