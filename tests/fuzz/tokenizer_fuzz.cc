// Goal: no text and no small vocabulary can crash Encode; what it gives are tokens of the
// vocabulary, their bytes are the text's, and untrusted text gives no special token.
//
// Input: one byte that chooses the kind of tokenizer, one that says how many pairs of bytes
// follow as tokens (a merge of single bytes, or a piece and its score), then the text.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "common/check.h"
#include "engine/text/bpe_tokenizer.h"
#include "engine/text/normal_form.h"
#include "engine/text/sentencepiece_tokenizer.h"
#include "engine/text/unigram_tokenizer.h"
#include "engine/text/utf8.h"

namespace {

using mortar::Token;

// The rest of an input.
struct Input {
  const uint8_t* data;
  size_t size;
  uint8_t Next() {
    --size;
    return *data++;
  }
  bool HasPair() const { return size >= 2; }
  std::string Text() const { return std::string(reinterpret_cast<const char*>(data), size); }
};

struct Tables {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges;
  std::vector<float> scores;
  mortar::Vocabulary view;

  void Add(const std::string& text, int32_t type, float score = 0) {
    tokens.push_back(text);
    types.push_back(type);
    scores.push_back(score);
  }
  mortar::Vocabulary& View() {
    view.tokens = tokens;
    view.types = types;
    view.merges = merges;
    view.scores = scores;
    return view;
  }
};

using Make = absl::StatusOr<std::unique_ptr<mortar::Tokenizer>> (*)(const mortar::Vocabulary&);

// The text as a tokenizer that composes sees it, or as it is.
std::string Form(bool composed, const std::string& text) {
  if (!composed) return text;
  std::string out;
  mortar::AppendNfc(text, &out);
  return out;
}

// Adds special tokens and encodes the text. `expected` are the bytes that must come back; they
// are those of the text, unless tokens are not shown as they are spelled. Where the tokenizer
// composes, they are the same in NFC: not the same bytes, because a special token in the text
// ends what is composed (`<s>` before U+0338 stays a token and a mark).
void Check(Tables& tables, Make make, const std::string& text, const std::string& expected,
           bool composes = false) {
  const auto n_plain = static_cast<Token>(tables.tokens.size());
  for (const char* const special : {"<s>", "<s><t>", "ab"}) tables.Add(special, 3);
  const auto tokenizer = make(tables.View());
  if (!tokenizer.ok()) return;  // a token twice
  for (const bool trusted : {false, true}) {
    const auto encoded = (*tokenizer)->Encode({{text, trusted}});
    CHECK(encoded.ok() == !mortar::FindInvalidUtf8(text));
    if (!encoded.ok()) return;
    std::string back;
    for (const Token token : *encoded) {
      CHECK(trusted || token < n_plain);
      back += (*tokenizer)->Bytes(token, /*special=*/true);
    }
    CHECK(Form(composes, back) == Form(composes, expected));
  }
}

// The byte alphabet: printable bytes as they are, the others from U+0100 on.
void AddByteTokens(Tables& tables) {
  char32_t other = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    std::string text;
    mortar::AppendUtf8(printable ? static_cast<char32_t>(byte) : other++, &text);
    tables.Add(text, 1);
  }
}

void CheckBpe(const char* pre_tokenizer, bool composes, int n_merges, Input input) {
  Tables tables;
  AddByteTokens(tables);
  for (int i = 0; i < n_merges && input.HasPair(); ++i) {
    const std::string left = tables.tokens[input.Next()];
    const std::string right = tables.tokens[input.Next()];
    tables.merges.push_back(left + " " + right);
    tables.Add(left + right, 1);
  }
  tables.view.pre_tokenizer = pre_tokenizer;
  Check(tables, mortar::MakeBpeTokenizer, input.Text(), input.Text(), composes);
}

absl::StatusOr<std::unique_ptr<mortar::Tokenizer>> MakeUnigram(const mortar::Vocabulary& tables) {
  mortar::UnigramRules rules;
  rules.adds_space = false;
  rules.removes_extra_spaces = false;
  return mortar::MakeUnigramTokenizer(tables, rules);
}

// Pieces of one to three letters out of four, one of them the space.
void CheckSentencePiece(bool crosses_words, int n_pieces, Make make, Input input) {
  const std::string letters[] = {"a", "b", "\u00E9", "\u2581"};
  Tables tables;
  tables.Add("<unk>", 2);
  for (unsigned byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    tables.Add(text, 6);
  }
  tables.Add("ab\u2581", 4);
  if (crosses_words) tables.Add("b\u2581b", 1);
  for (int i = 0; i < n_pieces && input.HasPair(); ++i) {
    const uint8_t piece = input.Next();
    const auto score = static_cast<int8_t>(input.Next());
    std::string text = letters[piece & 3];
    if (piece & 0x40) text += letters[piece >> 2 & 3];
    if (piece & 0x80) text += letters[piece >> 4 & 3];
    tables.Add(text, 1, score);
  }
  std::string spaced = input.Text();
  for (size_t at = spaced.find("\u2581"); at != spaced.npos; at = spaced.find("\u2581", at)) {
    spaced.replace(at, 3, " ");
  }
  Check(tables, make, input.Text(), spaced);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr const char* kNames[] = {"smollm", "gpt-2", "llama-bpe", "qwen2"};
  if (size < 2) return 0;
  Input input = {data, size};
  const int kind = input.Next() % 8;
  const int n_tokens = input.Next() % 64;
  if (kind < 4) {
    CheckBpe(kNames[kind], /*composes=*/kind == 3, n_tokens, input);
  } else {
    CheckSentencePiece(/*crosses_words=*/kind % 2 == 1, n_tokens,
                       kind < 6 ? mortar::MakeSentencePieceTokenizer : MakeUnigram, input);
  }
  return 0;
}
