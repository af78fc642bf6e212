// Goal: a folder that transformers itself wrote gives the tokens and the logits that transformers
// computes from it (tools/reference/make_hf_folder.py).
#include <gtest/gtest.h>

#include "engine/hf/folder.h"
#include "engine/hf/json.h"
#include "engine/text/tokenizer.h"
#include "tests/support/compare.h"
#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

TEST(StoredHfFolder, GivesTheTokensAndLogitsOfTransformers) {
  const std::string folder = std::string(MORTAR_TEST_DATA) + "/hf";
  const auto pool = *ThreadPool::Create(2);
  const auto file = OpenHfFolder(folder, Quantize::kNone, *pool);
  ASSERT_TRUE(file.ok()) << file.status();
  const Json expected = *ReadJsonFile(folder + "/expected.json", {1 << 20, 1 << 16});
  const auto want_tokens = expected["tokens"].get<std::vector<int32_t>>();
  const auto want = expected["logits"].get<std::vector<double>>();

  const auto tokenizer = Tokenizer::FromGguf(**file);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(*(*tokenizer)->Encode({{expected["text"].get<std::string>(), false}}), want_tokens);
  EXPECT_EQ((*tokenizer)->bos(), 1);
  EXPECT_EQ((*tokenizer)->eos(), 2);
  EXPECT_FALSE((*tokenizer)->adds_bos());
  EXPECT_TRUE((*file)->GetString("tokenizer.chat_template").ok());

  EngineOptions options{.kv_type = KvType::kF32,
                        .kv_positions_max = 64,
                        .context_max = 64,
                        .rows_max = 64,
                        .logit_rows_max = 64};
  auto engine = Engine::Load(**file, {{true, {0, 2}, true}}, options, **SelectKernels(""), *pool);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const std::vector<float> got = AllLogits(**engine, want_tokens, 64);
  ASSERT_EQ(got.size(), want.size() * want_tokens.size());
  const std::vector<float> last(got.end() - static_cast<std::ptrdiff_t>(want.size()), got.end());
  const double largest = LargestDifference(last, want);
  RecordProperty("largest", std::to_string(largest));
  // Both compute in binary32 from the same BF16 weights, each with its own order of sums; the
  // logits are 2.4 in size.
  EXPECT_LT(largest, 1e-4);
}

}  // namespace
}  // namespace mortar
