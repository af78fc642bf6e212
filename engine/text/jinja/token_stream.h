// The parser's place in the lexemes, and the errors that name it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/jinja/lexer.h"

namespace mortar::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Lexeme> lexemes) : lexemes_(std::move(lexemes)) {}

  const Lexeme& current() const { return lexemes_[at_]; }
  const Lexeme& next() const { return lexemes_[std::min(at_ + 1, lexemes_.size() - 1)]; }
  // Moves on, and returns what was current; the end stays.
  const Lexeme& Take() {
    const Lexeme& lexeme = current();
    if (lexeme.kind != LexemeKind::kEnd) ++at_;
    return lexeme;
  }
  bool Is(LexemeKind kind) const { return current().kind == kind; }
  bool IsOperator(std::string_view op) const {
    return Is(LexemeKind::kOperator) && current().text == op;
  }
  bool IsName(std::string_view name) const {
    return Is(LexemeKind::kName) && current().text == name;
  }
  bool TakeOperator(std::string_view op) { return IsOperator(op) && (Take(), true); }
  bool TakeName(std::string_view name) { return IsName(name) && (Take(), true); }

  absl::Status Expect(std::string_view op) {
    if (TakeOperator(op)) return absl::OkStatus();
    return Unexpected("'" + std::string(op) + "'");
  }
  absl::Status ExpectKind(LexemeKind kind, std::string_view what) {
    if (!Is(kind)) return Unexpected(what);
    Take();
    return absl::OkStatus();
  }
  absl::Status Unexpected(std::string_view expected) const {
    return Error("expected " + std::string(expected) + ", got " + Describe(current()));
  }
  absl::Status Error(std::string_view message) const {
    return InvalidArgument(AtPlace(current().line, current().column, message));
  }
  absl::Status Unsupported(std::string_view what) const {
    return Unimplemented(AtPlace(current().line, current().column,
                                 std::string(what) + " is not supported in chat templates"));
  }

 private:
  static std::string Describe(const Lexeme& lexeme) {
    switch (lexeme.kind) {
      case LexemeKind::kText:
        return "text";
      case LexemeKind::kOutputBegin:
        return "'{{'";
      case LexemeKind::kOutputEnd:
        return "'}}'";
      case LexemeKind::kBlockBegin:
        return "'{%'";
      case LexemeKind::kBlockEnd:
        return "'%}'";
      case LexemeKind::kString:
        return "a string";
      case LexemeKind::kEnd:
        return "the end of the template";
      case LexemeKind::kName:
      case LexemeKind::kInteger:
      case LexemeKind::kReal:
      case LexemeKind::kOperator:
        break;
    }
    return "'" + lexeme.text.substr(0, 100) + "'";
  }

  std::vector<Lexeme> lexemes_;  // the last is the one kEnd
  size_t at_ = 0;
};

}  // namespace mortar::jinja
