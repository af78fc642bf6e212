// Goal: the plainest question gets the answer that everybody expects, from the text of the prompt
// to the text of the answer: by the engine alone, and by the program that people run.
#include <gtest/gtest.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/text/tokenizer.h"
#include "tests/golden/golden_model.h"
#include "tests/support/test_model.h"

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

// With the default flags: edge, coordinator and worker in one process, KV in f16.
TEST(Answer, TheProgramSaysSoToo) {
  const std::string command = "'" MORTAR_BINARY "' run -m '" + TestModelPath() +
                              "' --raw -p 'The capital of France is' -n 24 --temp 0 --json";
  std::FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string out;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) out += static_cast<char>(c);
  ASSERT_EQ(pclose(pipe), 0) << command << "\n" << out;
  const nlohmann::json answer = nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(answer.is_object()) << "no JSON value: " << out;
  EXPECT_TRUE(answer.value("text", "").starts_with(" Paris.")) << out;
  EXPECT_EQ(answer.value("tokens", std::vector<int>()).size(), static_cast<size_t>(kTokens));
}

}  // namespace
}  // namespace mortar
