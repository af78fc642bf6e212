// Builds the tables of byte-level BPE and encodes with them.
#include "engine/text/bpe_tokenizer.h"

#include <array>
#include <utility>

#include "engine/text/byte_alphabet.h"
#include "engine/text/joined_text.h"
#include "engine/text/merger.h"
#include "engine/text/normal_form.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/utf8.h"
#include "engine/text/white_space.h"

namespace mortar {
namespace {

constexpr char kMergesKey[] = "tokenizer.ggml.merges";

class BpeTokenizer final : public TableTokenizer {
 public:
  absl::Status Build(const Vocabulary& vocabulary);
  absl::StatusOr<std::vector<Token>> Encode(const std::vector<TextPiece>& pieces) const override;

 private:
  absl::Status AddMerges(std::span<const std::string> merges);
  absl::StatusOr<Token> FindSpelled(std::string_view spelled, size_t merge_index) const;
  absl::Status EncodePlain(std::string_view text, Merger::Scratch* scratch,
                           std::vector<Token>* out) const;

  std::array<Token, 256> byte_tokens_{};  // -1: the vocabulary has none for this byte
  // User-defined tokens of white space alone (MPT's runs of spaces): they count in all text, for
  // nothing can be forged with them.
  std::unique_ptr<SpecialTokens> spaces_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  Merger merger_;
};

// A normal token with characters outside the byte alphabet stands for its own text, and no text
// becomes it, as in Hugging Face's tokenizers (Command R has some).
absl::StatusOr<bool> Spell(Token, std::string_view text, TokenType type, std::string* bytes) {
  if (type == TokenType::kNormal && DecodeByteAlphabet(text, bytes)) return true;
  *bytes += text;
  return false;
}

bool IsAllWhiteSpace(std::string_view text) {
  while (!text.empty()) {
    const Utf8Step step = NextUtf8(text);
    if (!IsWhiteSpace(step.code_point)) return false;
    text.remove_prefix(step.bytes);
  }
  return true;
}

absl::Status BpeTokenizer::Build(const Vocabulary& vocabulary) {
  ASSIGN_OR_RETURN(pre_tokenizer_, PreTokenizer::Make(vocabulary.pre_tokenizer));
  RETURN_IF_ERROR(table_.Build(vocabulary, TokenType::kUnused, Spell));
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_tokens_[byte] = table_.FindPlain({&c, 1});
  }
  std::vector<SpecialTokens::Entry> spaces;
  for (Token token = 0; token < n_vocab(); ++token) {
    const std::string_view text = table_.Text(token);
    if (table_.type(token) == TokenType::kUserDefined && IsAllWhiteSpace(text)) {
      spaces.push_back({text, token});
    }
  }
  spaces_ = std::make_unique<SpecialTokens>(std::move(spaces));
  return AddMerges(vocabulary.merges);
}

absl::StatusOr<Token> BpeTokenizer::FindSpelled(std::string_view spelled,
                                                size_t merge_index) const {
  std::string bytes;
  if (DecodeByteAlphabet(spelled, &bytes)) {
    if (const Token found = table_.FindPlain(bytes); found >= 0) return found;
  }
  return InvalidArgument(At(kMergesKey, merge_index) + " names \"" +
                         std::string(spelled.substr(0, 100)) + "\", which is no normal token of " +
                         kTokensKey);
}

absl::Status BpeTokenizer::AddMerges(std::span<const std::string> merges) {
  merger_.Reserve(merges.size());
  std::string joined;
  Token expected = 0;  // trainers number tokens as they make them: the next result, mostly
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string& merge = merges[i];
    const size_t space = merge.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == merge.size() ||
        merge.find(' ', space + 1) != std::string::npos) {
      return InvalidArgument(At(kMergesKey, i) + " is \"" + merge.substr(0, 100) +
                             "\", expected two tokens and one space between them");
    }
    const std::string_view view = merge;
    ASSIGN_OR_RETURN(const Token left, FindSpelled(view.substr(0, space), i));
    ASSIGN_OR_RETURN(const Token right, FindSpelled(view.substr(space + 1), i));
    joined.assign(table_.Text(left)).append(table_.Text(right));
    Token result = expected;
    if (expected >= n_vocab() || !table_.IsPlain(expected) || table_.Text(expected) != joined) {
      result = table_.FindPlain(joined);
      if (result < 0) {
        return InvalidArgument(At(kMergesKey, i) + " \"" + merge.substr(0, 100) +
                               "\" makes what is no normal token of " + kTokensKey);
      }
    }
    expected = result + 1;
    if (!merger_.Add(left, right, static_cast<uint32_t>(i), result)) {
      return InvalidArgument(At(kMergesKey, i) + " \"" + merge.substr(0, 100) +
                             "\" repeats an earlier merge");
    }
  }
  return absl::OkStatus();
}

// Text without special tokens, or in which they are plain.
absl::Status BpeTokenizer::EncodePlain(std::string_view text, Merger::Scratch* scratch,
                                       std::vector<Token>* out) const {
  std::string composed;
  if (pre_tokenizer_->composes() && !IsSurelyNfc(text)) {
    AppendNfc(text, &composed);
    text = composed;
  }
  std::vector<std::string_view> pieces;
  RETURN_IF_ERROR(pre_tokenizer_->Split(text, &pieces));
  std::vector<Token> spelled;
  for (const std::string_view piece : pieces) {
    if (pre_tokenizer_->takes_whole_tokens()) {
      if (const Token whole = table_.FindPlain(piece); whole >= 0) {
        out->push_back(whole);
        continue;
      }
    }
    spelled.clear();
    for (const char c : piece) {
      const Token token = byte_tokens_[static_cast<uint8_t>(c)];
      if (token >= 0) spelled.push_back(token);
    }
    merger_.Merge(spelled, scratch, out);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Token>> BpeTokenizer::Encode(
    const std::vector<TextPiece>& pieces) const {
  ASSIGN_OR_RETURN(const JoinedText joined, Join(pieces));
  std::vector<Token> out;
  Merger::Scratch scratch;
  const auto visit = [&](std::string_view plain, Token special) -> absl::Status {
    RETURN_IF_ERROR(EncodePlain(plain, &scratch, &out));
    if (special >= 0) out.push_back(special);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(CutAtSpecials(joined, table_.specials(), *spaces_, visit));
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeBpeTokenizer(const Vocabulary& vocabulary) {
  auto tokenizer = std::make_unique<BpeTokenizer>();
  RETURN_IF_ERROR(tokenizer->Build(vocabulary));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace mortar
