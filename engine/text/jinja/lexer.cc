#include "engine/text/jinja/lexer.h"

#include <algorithm>

#include "engine/text/jinja/text.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Line ends become \n, and one at the very end is dropped, as Jinja does by default.
std::string Normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(Normalize(source)) {}

  absl::StatusOr<std::vector<Lexeme>> Run() {
    while (at_ < source_.size()) RETURN_IF_ERROR(LexTextAndTag());
    Add(LexemeKind::kEnd, "");
    return std::move(out_);
  }

 private:
  absl::Status LexTextAndTag();
  absl::Status LexComment();
  absl::Status LexInside(char kind);
  bool EndTag(char kind);
  absl::Status LexToken();
  absl::Status LexNumber();
  absl::Status LexString();
  absl::Status LexEscape(std::string* out);
  absl::Status LexCodePoint(int n_digits, std::string* out);
  absl::Status LexOperator();

  std::string_view Rest() const { return std::string_view(source_).substr(at_); }
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  void Place(size_t at) {
    for (; placed_ < at; ++placed_) {
      if (source_[placed_] != '\n') continue;
      ++line_;
      line_begin_ = placed_ + 1;
    }
  }
  // Lexemes are added in the order of their places.
  void AddAt(size_t at, LexemeKind kind, std::string text) {
    Place(at);
    out_.push_back({kind, std::move(text), line_, static_cast<int>(at - line_begin_) + 1});
  }
  void Add(LexemeKind kind, std::string text) { AddAt(at_, kind, std::move(text)); }
  std::string Here(size_t at, std::string_view message) {
    Place(at);
    return AtPlace(line_, static_cast<int>(at - line_begin_) + 1, message);
  }

  const std::string source_;
  size_t at_ = 0;
  bool line_begins_ = true;  // the last tag ended with a line end, or there was none
  std::string brackets_;     // open ones inside a tag
  std::vector<Lexeme> out_;
  size_t placed_ = 0;  // line_ and line_begin_ are those of this offset
  int line_ = 1;
  size_t line_begin_ = 0;
};

// Text up to the next tag, stripped as the tag's sign says, and then the tag.
absl::Status Lexer::LexTextAndTag() {
  const size_t begin = at_;
  size_t tag = begin;
  const auto is_tag = [this](size_t i) {
    const char next = source_[i + 1];
    return source_[i] == '{' && (next == '{' || next == '%' || next == '#');
  };
  while (tag + 1 < source_.size() && !is_tag(tag)) ++tag;
  if (tag + 1 >= source_.size()) {
    Add(LexemeKind::kText, source_.substr(begin));
    at_ = source_.size();
    return absl::OkStatus();
  }
  std::string_view text = std::string_view(source_).substr(begin, tag - begin);
  const char kind = source_[tag + 1];
  const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
  if (sign == '-') {
    text.remove_suffix(TrailingSpaceBytes(text));
  } else if (sign != '+' && kind != '{') {
    // lstrip_blocks: a tag that is the first thing on its line takes the indent with it.
    const size_t line = text.rfind('\n') + 1;  // 0 when there is no line end
    const std::string_view indent = text.substr(line);
    if ((line > 0 || line_begins_) && LeadingSpaceBytes(indent) == indent.size()) {
      text.remove_suffix(indent.size());
    }
  }
  if (!text.empty()) Add(LexemeKind::kText, std::string(text));
  at_ = tag + 2 + (sign == '-' || sign == '+' ? 1 : 0);
  if (kind == '#') return LexComment();
  AddAt(tag, kind == '{' ? LexemeKind::kOutputBegin : LexemeKind::kBlockBegin, "");
  return LexInside(kind);
}

absl::Status Lexer::LexComment() {
  const size_t begin = at_;
  for (; at_ < source_.size(); ++at_) {
    if (EndTag('#')) return absl::OkStatus();
  }
  return InvalidArgument(Here(begin, "missing end of comment"));
}

// Takes the end of a tag, if one is here, with the white space that it strips.
bool Lexer::EndTag(char kind) {
  const char sign = Peek();
  const bool signed_end = sign == '-' || (sign == '+' && kind != '{');
  const size_t first = signed_end ? 1 : 0;
  if (Peek(first) != (kind == '{' ? '}' : kind) || Peek(first + 1) != '}') return false;
  at_ += first + 2;
  if (signed_end && sign == '-') {
    at_ += LeadingSpaceBytes(Rest());
  } else if (!signed_end && kind != '{' && Peek() == '\n') {
    ++at_;  // trim_blocks
  }
  line_begins_ = source_[at_ - 1] == '\n';
  return true;
}

absl::Status Lexer::LexInside(char kind) {
  const size_t begin = at_;
  brackets_.clear();
  for (;;) {
    at_ += LeadingSpaceBytes(Rest());
    if (at_ >= source_.size()) {
      return InvalidArgument(Here(begin, "the tag that begins here has no end"));
    }
    const size_t end = at_;
    if (brackets_.empty() && EndTag(kind)) {
      AddAt(end, kind == '{' ? LexemeKind::kOutputEnd : LexemeKind::kBlockEnd, "");
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(LexToken());
  }
}

absl::Status Lexer::LexToken() {
  const char c = Peek();
  if (IsDigit(c)) return LexNumber();
  if (c == '\'' || c == '"') return LexString();
  if (!IsNameStart(c)) return LexOperator();
  size_t end = at_;
  while (end < source_.size() && (IsNameStart(source_[end]) || IsDigit(source_[end]))) ++end;
  Add(LexemeKind::kName, source_.substr(at_, end - at_));
  at_ = end;
  return absl::OkStatus();
}

absl::Status Lexer::LexNumber() {
  const auto digit_at = [this](size_t i) { return i < source_.size() && IsDigit(source_[i]); };
  const auto at = [this](size_t i) { return i < source_.size() ? source_[i] : '\0'; };
  size_t end = at_;
  while (digit_at(end)) ++end;
  const bool leading_zero = source_[at_] == '0' && end - at_ > 1;
  bool real = at(end) == '.' && digit_at(end + 1);
  if (real) {
    for (++end; digit_at(end);) ++end;
  }
  const size_t exponent = end + (at(end + 1) == '-' || at(end + 1) == '+' ? 2 : 1);
  if ((at(end) == 'e' || at(end) == 'E') && digit_at(exponent)) {
    real = true;
    for (end = exponent; digit_at(end);) ++end;
  }
  if (IsNameStart(at(end)) || leading_zero) {
    return Unimplemented(
        Here(at_, "numbers other than decimal integers and fractions are not supported"));
  }
  Add(real ? LexemeKind::kReal : LexemeKind::kInteger, source_.substr(at_, end - at_));
  at_ = end;
  return absl::OkStatus();
}

absl::Status Lexer::LexString() {
  const size_t begin = at_;
  const char quote = source_[at_++];
  std::string text;
  while (at_ < source_.size() && source_[at_] != quote) {
    if (source_[at_] == '\\') {
      RETURN_IF_ERROR(LexEscape(&text));
    } else {
      text += source_[at_++];
    }
  }
  if (at_ >= source_.size()) return InvalidArgument(Here(begin, "this string has no end"));
  ++at_;
  AddAt(begin, LexemeKind::kString, std::move(text));
  return absl::OkStatus();
}

// Python's escapes; a backslash before any other character stands for itself.
absl::Status Lexer::LexEscape(std::string* out) {
  constexpr std::string_view kNames = "abfnrtv\\'\"\n";
  constexpr std::string_view kBytes = "\a\b\f\n\r\t\v\\'\"";
  const size_t begin = at_++;
  const char c = Peek();
  if (c == 'x') return LexCodePoint(2, out);
  if (c == 'u') return LexCodePoint(4, out);
  if (c == 'U') return LexCodePoint(8, out);
  if (c == 'N' || (c >= '0' && c <= '7')) {
    return Unimplemented(Here(begin, "octal and named escapes are not supported"));
  }
  const size_t known = kNames.find(c);
  if (at_ >= source_.size() || known == std::string_view::npos) {
    *out += '\\';
    return absl::OkStatus();
  }
  if (known < kBytes.size()) *out += kBytes[known];  // an escaped line end is nothing
  ++at_;
  return absl::OkStatus();
}

absl::Status Lexer::LexCodePoint(int n_digits, std::string* out) {
  const size_t begin = at_ - 1;
  ++at_;
  uint32_t code_point = 0;
  for (int i = 0; i < n_digits; ++i, ++at_) {
    const char c = static_cast<char>(Peek() | 0x20);  // lower case of letters; digits stay
    const bool letter = c >= 'a' && c <= 'f';
    if (!letter && !IsDigit(Peek())) return InvalidArgument(Here(begin, "truncated escape"));
    code_point = code_point << 4 | static_cast<uint32_t>(letter ? c - 'a' + 10 : c - '0');
  }
  if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
    return InvalidArgument(Here(begin, "this escape stands for no character"));
  }
  AppendUtf8(code_point, out);
  return absl::OkStatus();
}

absl::Status Lexer::LexOperator() {
  constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                             "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                             ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
  const auto* const found =
      std::find_if(std::begin(kOperators), std::end(kOperators),
                   [this](std::string_view op) { return Rest().substr(0, op.size()) == op; });
  if (found == std::end(kOperators)) {
    if (static_cast<uint8_t>(Peek()) >= 0x80) {
      return Unimplemented(Here(at_, "names outside ASCII are not supported"));
    }
    return InvalidArgument(Here(at_, std::string("unexpected character '") + Peek() + "'"));
  }
  const std::string op(*found);
  if (op == "(" || op == "[" || op == "{") brackets_ += op == "(" ? ')' : op == "[" ? ']' : '}';
  if (op == ")" || op == "]" || op == "}") {
    if (brackets_.empty() || brackets_.back() != op[0]) {
      return InvalidArgument(Here(at_, "unexpected '" + op + "'"));
    }
    brackets_.pop_back();
  }
  Add(LexemeKind::kOperator, op);
  at_ += op.size();
  return absl::OkStatus();
}

}  // namespace

std::string AtPlace(int line, int column, std::string_view message) {
  return "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " +
         std::string(message);
}

absl::StatusOr<std::vector<Lexeme>> Lex(std::string_view source) { return Lexer(source).Run(); }

}  // namespace mortar::jinja
