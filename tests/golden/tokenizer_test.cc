// Goal: the stored texts give the stored token ids, which llama.cpp's tokenizer made. Each text
// is a little longer than its list, since a text cut at a token's end may be cut otherwise by
// the tokenizer; so the first ids are compared.
#include "engine/text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "engine/gguf/gguf.h"
#include "tests/golden/golden_data.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

class TokenizerGolden : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::shared_ptr<GgufFile>> file = GgufFile::Open(TestModelPath());
    ASSERT_TRUE(file.ok()) << Message(file.status());
    file_ = *file;
    absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::FromGguf(*file_);
    ASSERT_TRUE(tokenizer.ok()) << Message(tokenizer.status());
    tokenizer_ = std::move(*tokenizer);
  }

  void ExpectFirstIds(const std::string& text, const std::vector<int32_t>& stored) {
    const absl::StatusOr<std::vector<Token>> ids = tokenizer_->Encode({{text, true}});
    ASSERT_TRUE(ids.ok()) << Message(ids.status());
    ASSERT_GE(ids->size(), stored.size());
    const auto differ = std::mismatch(stored.begin(), stored.end(), ids->begin());
    EXPECT_TRUE(differ.first == stored.end()) << "id " << differ.first - stored.begin() << " is "
                                              << *differ.second << ", stored is " << *differ.first;
  }

  std::shared_ptr<GgufFile> file_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TokenizerGolden, PromptsOfManyKinds) {
  const absl::StatusOr<std::vector<std::string>> texts = ReadPromptTexts();
  const absl::StatusOr<TokenLists> lists = ReadTokenLists("prompts");
  ASSERT_TRUE(texts.ok()) << Message(texts.status());
  ASSERT_TRUE(lists.ok()) << Message(lists.status());
  ASSERT_EQ(texts->size(), lists->size());
  for (size_t i = 0; i < texts->size(); ++i) {
    SCOPED_TRACE("prompt " + std::to_string(i));
    ExpectFirstIds((*texts)[i], (*lists)[i]);
  }
}

TEST_F(TokenizerGolden, LongTexts) {
  for (const std::string name : {"text", "perplexity"}) {
    SCOPED_TRACE(name);
    const absl::StatusOr<std::string> text = ReadText(name + ".txt");
    const absl::StatusOr<TokenLists> lists = ReadTokenLists(name);
    ASSERT_TRUE(text.ok()) << Message(text.status());
    ASSERT_TRUE(lists.ok()) << Message(lists.status());
    std::vector<int32_t> stored;
    for (const std::vector<int32_t>& list : *lists) {
      stored.insert(stored.end(), list.begin(), list.end());
    }
    ExpectFirstIds(*text, stored);
  }
}

}  // namespace
}  // namespace mortar
