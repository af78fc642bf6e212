// Goal: teacher forcing visits every wanted position once, in order, with the same logits however
// the list is cut; it refuses lists that the model cannot read; and its sums are right.
#include "engine/batch/teacher.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/golden/golden_model.h"

namespace mortar {
namespace {

class TeacherTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<GoldenModel>> model = GoldenModel::Load(IsaOfEnvironment());
    ASSERT_TRUE(model.ok()) << Message(model.status());
    model_ = std::move(*model);
  }
  Teacher& teacher() { return model_->teacher(); }

  std::unique_ptr<GoldenModel> model_;
};

void Ignore(int, std::span<const float>) {}

TEST_F(TeacherTest, VisitsEachWantedPositionOnceInOrder) {
  const std::vector<int32_t> tokens(70, 504);
  std::vector<int> seen;
  ASSERT_TRUE(teacher()
                  .Run(tokens, 3,
                       [&](int position, std::span<const float> logits) {
                         seen.push_back(position);
                         EXPECT_EQ(logits.size(), static_cast<size_t>(teacher().n_vocab()));
                       })
                  .ok());
  ASSERT_EQ(seen.size(), 67u);
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<int>(i) + 3);
}

TEST_F(TeacherTest, GivesTheSameLogitsWhereverTheVisitsBegin) {
  const std::vector<int32_t> tokens = {504, 3575, 282, 4649, 314};
  std::vector<float> all, last;
  ASSERT_TRUE(teacher()
                  .Run(tokens, 0,
                       [&](int position, std::span<const float> logits) {
                         if (position == 4) all.assign(logits.begin(), logits.end());
                       })
                  .ok());
  ASSERT_TRUE(teacher()
                  .Run(tokens, 4,
                       [&](int, std::span<const float> logits) {
                         last.assign(logits.begin(), logits.end());
                       })
                  .ok());
  EXPECT_EQ(all, last);
  EXPECT_EQ(Argmax(last), 7042) << "the token ' Paris'";
}

TEST_F(TeacherTest, RefusesATokenOutsideTheVocabulary) {
  const std::vector<int32_t> negative = {504, -1}, beyond = {504, teacher().n_vocab()};
  EXPECT_EQ(teacher().Run(negative, 0, Ignore).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(teacher().Run(beyond, 0, Ignore).code(), absl::StatusCode::kInvalidArgument);
  std::vector<double> nll;
  // The last token of a context is never fed, but it is looked up.
  EXPECT_EQ(ScoreContext(teacher(), beyond, nll).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(nll.empty());
}

TEST_F(TeacherTest, RefusesAListLongerThanTheContextAndGoesOnAfterIt) {
  const std::vector<int32_t> tokens(4097, 504);
  EXPECT_EQ(teacher().Run(tokens, 4096, Ignore).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(teacher().Run(std::span(tokens).first(2), 0, Ignore).ok());
}

TEST_F(TeacherTest, RefusesAFirstPositionOutsideTheList) {
  const std::vector<int32_t> tokens = {504, 3575};
  EXPECT_EQ(teacher().Run(tokens, 3, Ignore).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(teacher().Run(tokens, -1, Ignore).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TeacherTest, ScoresTheSecondHalfOfAContext) {
  const std::vector<int32_t> context = {504, 3575, 282, 4649, 314, 7042};
  std::vector<double> nll;
  ASSERT_TRUE(ScoreContext(teacher(), context, nll).ok());
  ASSERT_EQ(nll.size(), 2u);  // positions 3 and 4 score tokens 4 and 5
  EXPECT_LT(nll[1], 1.5) << "' Paris' is likely after 'The capital of France is'";
  EXPECT_GT(nll[1], 0);
}

TEST(LogSumExpTest, EqualsTheSumAndDoesNotOverflow) {
  EXPECT_NEAR(LogSumExp(std::vector<float>{0, 0, 0, 0}), std::log(4.0), 2.4e-7);
  EXPECT_NEAR(LogSumExp(std::vector<float>{1000, 1000}), 1000 + std::log(2.0), 2.4e-7);
  EXPECT_NEAR(LogSumExp(std::vector<float>{-1000}), -1000, 1e-9);
}

TEST(ArgmaxTest, TiesGoToTheLowestId) {
  EXPECT_EQ(Argmax(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(Argmax(std::vector<float>{-5}), 0);
}

TEST(MeanWithErrorTest, IsTheErrorOfTheMean) {
  const MeanAndError out = MeanWithError(std::vector<double>{1, 2, 3, 4});
  EXPECT_DOUBLE_EQ(out.mean, 2.5);
  EXPECT_DOUBLE_EQ(out.standard_error, std::sqrt(5.0 / 3 / 4));
}

}  // namespace
}  // namespace mortar
