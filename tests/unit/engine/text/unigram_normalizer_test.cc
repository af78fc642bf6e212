// Goal: spaces are merged, stripped and put in front as SentencePiece does by its settings and as
// the steps of Hugging Face's tokenizers do; what grows too long, and steps that are not known,
// are refused.
#include "engine/text/unigram_normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/text/utf8.h"
#include "tests/unit/engine/text/unigram_vocabulary.h"

namespace mortar {
namespace {

using testing::HasSubstr;

std::string Normal(UnigramRules rules, std::string_view text, bool is_first = true,
                   const std::vector<std::string_view>& whole = {}) {
  const auto made = UnigramNormalizer::Make(std::move(rules), whole);
  EXPECT_TRUE(made.ok()) << made.status();
  size_t left = 1 << 20;
  const auto normal = made->Normalize(text, is_first, &left);
  EXPECT_TRUE(normal.ok()) << normal.status();
  EXPECT_EQ(left, (1 << 20) - normal->size());
  return *normal;
}

UnigramRules Own(bool adds_space, bool removes) {
  UnigramRules rules;
  rules.adds_space = adds_space;
  rules.removes_extra_spaces = removes;
  return rules;
}

UnigramRules Steps(std::vector<std::string> steps) {
  UnigramRules rules = Own(false, false);
  rules.steps = std::move(steps);
  rules.has_steps = true;
  return rules;
}

TEST(UnigramNormalizer, SpacesGoAsTheTwoSettingsSay) {
  EXPECT_EQ(Normal(Own(true, true), "  a  b  "), " a b");
  EXPECT_EQ(Normal(Own(false, true), "  a  b  "), "a b");
  EXPECT_EQ(Normal(Own(true, false), "  a  b  "), "   a  b  ");
  EXPECT_EQ(Normal(Own(false, false), "  a  b  "), "  a  b  ");
  EXPECT_EQ(Normal(Own(true, true), "   "), "");
  EXPECT_EQ(Normal(Own(true, true), ""), "");
}

TEST(UnigramNormalizer, AMarkOfASpaceIsNotMergedAndGoesAtTheEnd) {
  EXPECT_EQ(Normal(Own(true, true), "\u2581a\u2581\u2581b \u2581"), "  a  b");
}

TEST(UnigramNormalizer, ReplacementsComeBeforeSpacesAreMerged) {
  UnigramRules rules = Own(true, true);
  rules.charsmap = StoredCharsMap();
  EXPECT_EQ(Normal(rules, "\t\u3000\uFB01ne\n\nx\u00A0"), " fine x");
  EXPECT_EQ(Normal(rules, "\uFB01ne"), " fine");
  // User-defined texts stay as they are.
  EXPECT_EQ(Normal(rules, "\uFB01ne", true, {"\uFB01", "fi"}), " \uFB01ne");
}

TEST(UnigramNormalizer, EachStepDoesWhatItsNameSays) {
  EXPECT_EQ(Normal(Steps({"strip_left"}), "\u3000 a \n"), "a \n");
  EXPECT_EQ(Normal(Steps({"strip_right"}), " a\u00A0b \n"), " a\u00A0b");
  EXPECT_EQ(Normal(Steps({"strip_left"}), " \n"), "");
  EXPECT_EQ(Normal(Steps({"merge_spaces", " "}), "  a b   c  "), " a b c ");
  EXPECT_EQ(Normal(Steps({"merge_spaces", "-"}), "a b   c"), "a b-c");
  EXPECT_EQ(Normal(Steps({"replace", "``", "\""}), "``a``` `"), "\"a\"` `");
  EXPECT_EQ(Normal(Steps({"replace", "a", ""}), "banana"), "bnn");
  EXPECT_EQ(Normal(Steps({"split_words"}), " \u3000a\n\tb \u00A0"), "a b");
  EXPECT_EQ(Normal(Steps({"lowercase"}), "\u00C9A\u0130"), "\u00E9ai\u0307");
  EXPECT_EQ(Normal(Steps({"nmt"}), "a\x07\u200B\tb\uFEFF"), "a  b ");
  EXPECT_EQ(Normal(Steps({"nfc"}), "e\u0301"), "\u00E9");
  EXPECT_EQ(Normal(Steps({"nfd"}), "\u00E9"), "e\u0301");
  EXPECT_EQ(Normal(Steps({"nfkc"}), "\uFF76\uFF9E\uFB01\u2460e\u0301"), "\u30ACfi1\u00E9");
  EXPECT_EQ(Normal(Steps({"nfkd"}), "\u1E9B\u00BD\uFDFA").size(), 1 + 2 + 5 + 33u);
}

TEST(UnigramNormalizer, WithStepsOneSpaceStandsInFront) {
  UnigramRules rules = Steps({});
  EXPECT_EQ(Normal(rules, "a"), "a");
  rules.adds_space = true;
  EXPECT_EQ(Normal(rules, "a"), " a");
  EXPECT_EQ(Normal(rules, " a"), " a");
  EXPECT_EQ(Normal(rules, "\u2581a"), " a");
  EXPECT_EQ(Normal(rules, "a", /*is_first=*/false), " a");
  EXPECT_EQ(Normal(rules, ""), "");
  rules.adds_at_first = true;
  EXPECT_EQ(Normal(rules, "a", /*is_first=*/false), "a");
}

TEST(UnigramNormalizer, ATextThatGrowsTooLongIsRefused) {
  UnigramRules rules = Own(false, false);
  rules.charsmap = StoredCharsMap();
  UnigramRules steps = Steps({"replace", "a", std::string(1000, 'b')});
  for (const UnigramRules& each : {rules, steps}) {
    const auto made = UnigramNormalizer::Make(each, {});
    ASSERT_TRUE(made.ok()) << made.status();
    std::string text;
    for (int i = 0; i < 100; ++i) text += "a\uFDFA";  // 3 bytes that become 33
    size_t left = 2000;
    const auto normal = made->Normalize(text, true, &left);
    EXPECT_EQ(normal.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(Message(normal.status()), HasSubstr("268435456 bytes after"));
  }
}

TEST(UnigramNormalizer, StepsThatAreNotKnownAreRefused) {
  const auto refusal = [](std::vector<std::string> steps) {
    const auto made = UnigramNormalizer::Make(Steps(std::move(steps)), {});
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
    return Message(made.status());
  };
  EXPECT_THAT(refusal({"nfc", "rot13"}),
              HasSubstr("tokenizer.ggml.normalizer.steps[1] is 'rot13'; known are charsmap, nmt"));
  EXPECT_THAT(refusal({"replace", "a"}), HasSubstr("'replace', expected what follows it"));
  EXPECT_THAT(refusal({"replace", "", "b"}), HasSubstr("'replace' of nothing"));
  EXPECT_THAT(refusal({"merge_spaces", "\xFF"}), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(refusal(std::vector<std::string>(257, "nfc")), HasSubstr("expected at most 256"));
}

}  // namespace
}  // namespace mortar
