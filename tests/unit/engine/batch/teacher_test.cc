// Goal: a list of tokens is walked to the end of the context and not beyond it, and what cannot be
// walked is said before anything is visited.
#include "engine/batch/teacher.h"

#include <gmock/gmock.h>

#include <cstring>
#include <limits>

#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

// How many positions were visited, or why none was.
absl::StatusOr<int> Visited(Teacher& teacher, const std::vector<int32_t>& tokens) {
  int n = 0;
  RETURN_IF_ERROR(teacher.Run(tokens, 0, [&n](int, std::span<const float>) { ++n; }));
  return n;
}

// A file that was spoiled, in an engine.
struct Damaged {
  std::shared_ptr<GgufFile> file;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Engine> engine;

  explicit Damaged(const GgufWriter& writer)
      : file(*GgufFile::FromBytes(writer.Bytes(), "tiny.gguf")),
        pool(*ThreadPool::Create(1)),
        engine(*Engine::Load(*file, {{true, {0, 4}, true}}, TinyEngineOptions().engine,
                             **SelectKernels(""), *pool)) {}
};

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

TEST(Teacher, LogitsThatAreNotFiniteAreDataLossAndGiveTheKvBack) {
  GgufWriter writer = MakeTinyModel({});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // The embedding of token 7, which is the head's row as well: 64 floats.
  std::memcpy(writer.FindTensor("token_embd.weight").data.data() + 7 * 64 * sizeof(float), &nan,
              sizeof(float));
  const Damaged damaged(writer);
  const std::unique_ptr<Teacher> teacher = *Teacher::Create(*damaged.engine, 0);
  const int free = damaged.engine->kv().positions_free();
  const absl::Status status = Visited(*teacher, {1, 2, 3}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(status), testing::HasSubstr("the logits of position 0 are not finite"));
  EXPECT_EQ(damaged.engine->kv().positions_free(), free);
}

// Integers would hide it: a row of NaN once gave logits of zero.
TEST(Teacher, ANanInAMiddleLayerOfQuantisedWeightsIsDataLoss) {
  for (const TensorType type : {TensorType::kQ4_1, TensorType::kQ8_0}) {
    GgufWriter writer = MakeTinyModel({.type = type});
    std::vector<uint8_t>& down = writer.FindTensor("blk.1.ffn_down.weight").data;
    down[0] = 0xff;  // the first block's scale, an f16
    down[1] = 0x7f;
    const Damaged damaged(writer);
    const std::unique_ptr<Teacher> teacher = *Teacher::Create(*damaged.engine, 0);
    EXPECT_EQ(Visited(*teacher, RandomTokens(5, 1)).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST(Teacher, StopsBeforeTheNextBatchAndGivesTheKvBack) {
  TinyEngine tiny({});
  const std::unique_ptr<Teacher> teacher = *Teacher::Create(*tiny.engine, 0);
  const int free = tiny.engine->kv().positions_free();
  teacher->StopWhen([] { return true; });
  EXPECT_EQ(Visited(*teacher, RandomTokens(5, 1)).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(tiny.engine->kv().positions_free(), free);
}

TEST(Teacher, NamesATokenOutsideTheVocabulary) {
  TinyEngine tiny({});
  const std::unique_ptr<Teacher> teacher = *Teacher::Create(*tiny.engine, 0);
  EXPECT_EQ(Message(Visited(*teacher, {1, kTinyVocab}).status()),
            "token 288 at position 1 is outside the vocabulary of 288");
}

}  // namespace
}  // namespace mortar
