// Goal: a list of tokens is walked to the end of the context and not beyond it, and what cannot be
// walked is said before anything is visited.
#include "engine/batch/teacher.h"

#include <gmock/gmock.h>

#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

// How many positions were visited, or why none was.
absl::StatusOr<int> Visited(Teacher& teacher, const std::vector<int32_t>& tokens) {
  int n = 0;
  RETURN_IF_ERROR(teacher.Run(tokens, 0, [&n](int, std::span<const float>) { ++n; }));
  return n;
}

// 70 positions take two pages, which hold 128.
TEST(Teacher, RefusesAListLongerThanTheContextThoughItsPagesWouldHoldIt) {
  TinyEngineOptions options;
  options.engine.context_max = options.engine.kv_positions_max = 70;
  TinyEngine tiny(options);
  const std::unique_ptr<Teacher> teacher = *Teacher::Create(*tiny.engine, 0);
  EXPECT_EQ(*Visited(*teacher, RandomTokens(70, 1)), 70);
  EXPECT_EQ(Message(Visited(*teacher, RandomTokens(71, 1)).status()),
            "a list of 71 tokens is longer than the context of 70");
  EXPECT_EQ(*Visited(*teacher, RandomTokens(70, 1)), 70);
}

TEST(Teacher, NamesATokenOutsideTheVocabulary) {
  TinyEngine tiny({});
  const std::unique_ptr<Teacher> teacher = *Teacher::Create(*tiny.engine, 0);
  EXPECT_EQ(Message(Visited(*teacher, {1, kTinyVocab}).status()),
            "token 288 at position 1 is outside the vocabulary of 288");
}

}  // namespace
}  // namespace mortar
