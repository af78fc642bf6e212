// Goal: a text is cut into windows as llama-perplexity cuts it, and two predictions are compared
// by the textbook's formulas.
#include "cli/scoring.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mortar {
namespace {

// One token a byte.
class ByteTokenizer final : public Tokenizer {
 public:
  explicit ByteTokenizer(bool adds_bos) : adds_bos_(adds_bos) {}
  absl::StatusOr<std::vector<Token>> Encode(const std::vector<TextPiece>& pieces) const override {
    std::vector<Token> tokens;
    for (const TextPiece& piece : pieces) {
      EXPECT_FALSE(piece.trusted) << "a text to be scored is no template";
      tokens.insert(tokens.end(), piece.text.begin(), piece.text.end());
    }
    return tokens;
  }
  int n_vocab() const override { return 256; }
  std::string_view Bytes(Token, bool) const override { return ""; }
  bool IsEndOfGeneration(Token) const override { return false; }
  Token bos() const override { return 1; }
  Token eos() const override { return -1; }
  bool adds_bos() const override { return adds_bos_; }

 private:
  bool adds_bos_;
};

TEST(CutWindows, WholeWindowsOfTheText) {
  const auto windows = CutWindows(ByteTokenizer(false), {"abcdefghij", "text"}, 4, std::nullopt);
  ASSERT_TRUE(windows.ok());
  EXPECT_EQ(windows->count, 2);
  EXPECT_EQ(windows->tokens, (std::vector<Token>{'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}));
  EXPECT_EQ(windows->Window(1)[0], 'e');
}

TEST(CutWindows, EveryWindowBeginsAsTheModelWantsATextToBegin) {
  const auto windows = CutWindows(ByteTokenizer(true), {"abcdefg", "text"}, 4, std::nullopt);
  ASSERT_TRUE(windows.ok());
  EXPECT_EQ(windows->tokens, (std::vector<Token>{1, 'a', 'b', 'c', 1, 'e', 'f', 'g'}));
}

TEST(CutWindows, AtMostAsManyAsAsked) {
  EXPECT_EQ(CutWindows(ByteTokenizer(false), {"abcdefghij", "text"}, 2, 3)->count, 3);
  EXPECT_EQ(CutWindows(ByteTokenizer(false), {"abcdefghij", "text"}, 2, 99)->count, 5);
}

TEST(CutWindows, ATextThatFillsNoWindowIsRefused) {
  const auto windows = CutWindows(ByteTokenizer(false), {"abc", "text"}, 4, std::nullopt);
  ASSERT_FALSE(windows.ok());
  EXPECT_NE(Message(windows.status()).find("3 tokens do not fill a window of 4"),
            std::string::npos);
}

TEST(CompareLogits, EqualLogitsDoNotDiffer) {
  const std::vector<float> a = {1, 2, 3};
  const LogitDifference difference = CompareLogits(a, a, 2);
  EXPECT_EQ(difference.kl, 0);
  EXPECT_EQ(difference.largest, 0);
  EXPECT_EQ(difference.nll_a, difference.nll_b);
  EXPECT_TRUE(difference.same_top);
}

TEST(CompareLogits, FollowsTheFormula) {
  // p = (3/4, 1/4), q = (1/4, 3/4): KL = 1/2 ln 3.
  const std::vector<float> p = {std::log(3.0f), 0};
  const std::vector<float> q = {0, std::log(3.0f)};
  const LogitDifference difference = CompareLogits(p, q, 0);
  EXPECT_NEAR(difference.kl, 0.5 * std::log(3.0), 1e-6);  // ln 3 is rounded to f32
  EXPECT_NEAR(difference.largest, std::log(3.0), 1e-6);
  EXPECT_NEAR(difference.nll_a, std::log(4.0 / 3), 1e-6);
  EXPECT_NEAR(difference.nll_b, std::log(4.0), 1e-6);
  EXPECT_FALSE(difference.same_top);
}

TEST(CompareLogits, AShiftOfAllLogitsIsNoDivergence) {
  const std::vector<float> a = {1, 2, 3};
  const std::vector<float> b = {11, 12, 13};
  EXPECT_NEAR(CompareLogits(a, b, 0).kl, 0, 1e-12);
  EXPECT_EQ(CompareLogits(a, b, 0).largest, 10);
}

}  // namespace
}  // namespace mortar
