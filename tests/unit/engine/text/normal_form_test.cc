// Goal: normal forms equal those of Hugging Face's normalizers (tests/data/text/normal_forms.json),
// in linear time.
#include "engine/text/normal_form.h"

#include <gtest/gtest.h>

#include "tests/unit/engine/text/stored.h"

namespace mortar {
namespace {

std::string Nfc(std::string_view text) {
  std::string out;
  AppendNfc(text, &out);
  return out;
}
std::string Nfd(std::string_view text) {
  std::string out;
  AppendNfd(text, &out);
  return out;
}

TEST(NormalForm, EqualsTheStoredForms) {
  const nlohmann::json forms = Stored("normal_forms.json")["forms"];
  ASSERT_GT(forms.size(), 400u);
  for (const nlohmann::json& form : forms) {
    const std::string text = form[0], composed = form[1], decomposed = form[2];
    EXPECT_EQ(Nfc(text), composed) << form[0];
    EXPECT_EQ(Nfd(text), decomposed) << form[0];
    EXPECT_EQ(Nfc(decomposed), composed) << form[0];
    EXPECT_TRUE(!IsSurelyNfc(text) || text == composed) << form[0];
  }
}

TEST(NormalForm, HangulComposesByArithmetic) {
  EXPECT_EQ(Nfd("\uD55C\uD558"), "\u1112\u1161\u11AB\u1112\u1161");
  EXPECT_EQ(Nfc("\u1112\u1161\u11AB\u1112\u1161"), "\uD55C\uD558");
}

TEST(NormalForm, WhatIsAsciiAndLatinStaysAndIsKnownToStay) {
  const std::string text = "na\u00EFve caf\u00E9\n\t";
  EXPECT_TRUE(IsSurelyNfc(text));
  EXPECT_EQ(Nfc(text), text);
  EXPECT_FALSE(IsSurelyNfc("e\u0301"));
  EXPECT_EQ(Nfc(""), "");
}

// Four megabytes of marks on one letter, in the worst order.
TEST(NormalForm, ALongRunOfMarksIsOrderedInTime) {
  std::string text = "a";
  while (text.size() < (4u << 20)) text += "\u0301\u0323";
  EXPECT_TRUE(Nfc(text).starts_with("\u1EA1\u0323\u0323"));
  EXPECT_TRUE(Nfd(text).starts_with("a\u0323\u0323"));
}

}  // namespace
}  // namespace mortar
