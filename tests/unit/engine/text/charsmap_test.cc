// Goal: SentencePiece's own table of characters is read; one that is cut or points anywhere is
// refused, or harmless.
#include "engine/text/charsmap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/engine/text/unigram_vocabulary.h"

namespace mortar {
namespace {

using testing::HasSubstr;

std::string Bytes(uint32_t value) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

// A unit of the trie: the label, whether a value hangs below, and the offset of what follows.
uint32_t Unit(uint8_t label, bool has_value, uint32_t offset) {
  return label | (has_value ? 1u << 8 : 0) | offset << 10;
}
uint32_t Value(uint32_t value) { return value | 1u << 31; }

std::string Table(const std::vector<uint32_t>& units, const std::string& replacements) {
  std::string blob = Bytes(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) blob += Bytes(unit);
  return blob + replacements;
}

// "a" becomes "xy", and nothing else becomes anything: the child stands at 2 xor 'a', its value one
// before it.
std::vector<uint32_t> OneKey() {
  std::vector<uint32_t> units(100, 0);
  units[0] = Unit(0, false, 2);
  units[2 ^ 'a'] = Unit('a', true, 1);
  units[2 ^ 'a' ^ 1] = Value(1);
  return units;
}

std::string Replaced(const CharsMap& map, std::string_view text) {
  const CharsMap::Match match = map.Longest(text);
  return std::string(text.substr(0, match.bytes)) + " -> " + std::string(match.replacement);
}

std::string Refusal(std::string_view blob) {
  const auto made = CharsMap::Make(blob);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
  return Message(made.status());
}

TEST(CharsMap, TheLibrarysOwnTableIsRead) {
  const auto map = CharsMap::Make(StoredCharsMap());
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(Replaced(*map, "\uFB01x"), "\uFB01 -> fi");
  EXPECT_EQ(Replaced(*map, "\tx"), "\t ->  ");
  EXPECT_EQ(Replaced(*map, "\u2460"), "\u2460 -> 1");
  EXPECT_EQ(Replaced(*map, "e\u0301\u0301"), "e\u0301 -> \u00E9");  // the longest, not e
  EXPECT_EQ(Replaced(*map, "x"), " -> ");
  EXPECT_EQ(Replaced(*map, ""), " -> ");
  EXPECT_EQ(Replaced(*map, std::string_view("\0x", 2)), " -> ");
}

TEST(CharsMap, ATableOfOneKeyReplacesIt) {
  const auto map = CharsMap::Make(Table(OneKey(), std::string("\0xy\0", 4)));
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(Replaced(*map, "ab"), "a -> xy");
  EXPECT_EQ(Replaced(*map, "b"), " -> ");
  const auto nothing = CharsMap::Make("");
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(Replaced(*nothing, "a"), " -> ");
}

TEST(CharsMap, ATableThatIsCutIsRefused) {
  const std::string blob = Table(OneKey(), std::string("\0xy\0", 4));
  for (size_t bytes = 1; bytes < blob.size(); ++bytes) {
    const auto made = CharsMap::Make(std::string_view(blob).substr(0, bytes));
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument) << bytes;
  }
  EXPECT_THAT(Refusal("abc"), HasSubstr("has 3 bytes, expected 4"));
  EXPECT_THAT(Refusal(Bytes(8) + "abcd"), HasSubstr("says that its trie has 8 bytes"));
  EXPECT_THAT(Refusal(Bytes(0xFFFFFFFF) + "abcd"), HasSubstr("trie has 4294967295 bytes"));
  EXPECT_THAT(Refusal(Bytes(3) + "abcd"), HasSubstr("a multiple of 4 up to the 4 that follow"));
  EXPECT_THAT(Refusal(std::string((8 << 20) + 1, 'x')), HasSubstr("expected at most 8388608"));
}

TEST(CharsMap, ATrieThatPointsOutsideIsRefused) {
  const std::string replacements("\0xy\0", 4);
  std::vector<uint32_t> units = OneKey();
  units[2 ^ 'a'] = Unit('a', true, 1 << 20);
  EXPECT_THAT(Refusal(Table(units, replacements)), HasSubstr("points at unit 1048"));
  units = OneKey();
  units[2 ^ 'a' ^ 1] = Unit('b', false, 0);
  EXPECT_THAT(Refusal(Table(units, replacements)), HasSubstr("that holds a value"));
  units = OneKey();
  units[2 ^ 'a' ^ 1] = Value(4);
  EXPECT_THAT(Refusal(Table(units, replacements)), HasSubstr("is offset 4"));
  EXPECT_THAT(Refusal(Table(OneKey(), "abc")), HasSubstr("the zero byte"));
  EXPECT_THAT(Refusal(Table(OneKey(), std::string("a\xC3\0", 3))), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(Refusal(Table(OneKey(), std::string("\u00E9\0", 3))), HasSubstr("is offset 1"));
  // A child without a value may point anywhere: the search ends there.
  units = OneKey();
  units[0] = Unit(0, false, 1 << 20);
  const auto lost = CharsMap::Make(Table(units, replacements));
  ASSERT_TRUE(lost.ok()) << lost.status();
  EXPECT_EQ(Replaced(*lost, "a"), " -> ");
}

TEST(CharsMap, ATrieThatGoesRoundEndsAtTheLongestKey) {
  std::vector<uint32_t> units(256, 0);
  units[0] = Unit(0, false, 'a' ^ 'b');
  units['b'] = Unit('a', true, 'a');  // the child by 'a' is the unit itself
  units['b' ^ 'a'] = Value(0);
  const auto map = CharsMap::Make(Table(units, std::string("\0", 1)));
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_LE(map->Longest(std::string(1 << 20, 'a')).bytes, 256u);
}

// Any damage is refused or leaves a table that gives valid text.
TEST(CharsMap, DamagedTablesAreHarmless) {
  const std::string whole = StoredCharsMap();
  const std::vector<std::string> texts = UnigramTexts();
  std::mt19937 random(7);
  int n_accepted = 0;
  for (int round = 0; round < 300; ++round) {
    std::string blob = whole;
    blob[random() % blob.size()] = static_cast<char>(random());
    const auto map = CharsMap::Make(blob);
    if (!map.ok()) continue;
    ++n_accepted;
    for (const std::string& text : texts) {
      for (size_t at = 0; at < text.size(); ++at) {
        const CharsMap::Match match = map->Longest(std::string_view(text).substr(at));
        ASSERT_LE(match.bytes, text.size() - at) << "round " << round;
        ASSERT_LT(match.replacement.size(), whole.size()) << "round " << round;
      }
    }
  }
  EXPECT_GT(n_accepted, 0);
}

}  // namespace
}  // namespace mortar
