// Goal: the plainest question gets the answer that everybody expects, from the text of the prompt
// to the text of the answer.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/text/tokenizer.h"
#include "tests/golden/golden_model.h"

namespace mortar {
namespace {

constexpr int kTokens = 24;

TEST(Answer, TheCapitalOfFranceIsParis) {
  absl::StatusOr<std::unique_ptr<GoldenModel>> model = GoldenModel::Load(IsaOfEnvironment());
  ASSERT_TRUE(model.ok()) << Message(model.status());
  const absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer =
      Tokenizer::FromGguf((*model)->file());
  ASSERT_TRUE(tokenizer.ok()) << Message(tokenizer.status());
  absl::StatusOr<std::vector<Token>> tokens =
      (*tokenizer)->Encode({{"The capital of France is", false}});
  ASSERT_TRUE(tokens.ok()) << Message(tokens.status());
  std::string answer;
  for (int i = 0; i < kTokens; ++i) {
    Token next = -1;
    const absl::Status status =
        (*model)->teacher().Run(*tokens, static_cast<int>(tokens->size()) - 1,
                                [&](int, std::span<const float> logits) { next = Argmax(logits); });
    ASSERT_TRUE(status.ok()) << Message(status);
    answer += (*tokenizer)->Bytes(next);
    tokens->push_back(next);
  }
  EXPECT_TRUE(answer.starts_with(" Paris.")) << "the answer is '" << answer << "'";
}

}  // namespace
}  // namespace mortar
