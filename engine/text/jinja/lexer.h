// Cuts a template into text and tokens, and does all of Jinja's white-space control: what `-`
// strips, what `+` keeps, and trim_blocks and lstrip_blocks, which are both on as Hugging Face
// sets them. Source of the rules: the Jinja documentation, "Whitespace Control".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace mortar::jinja {

enum class LexemeKind {
  kText,         // `text` is put out as it stands
  kOutputBegin,  // {{
  kOutputEnd,    // }}
  kBlockBegin,   // {%
  kBlockEnd,     // %}
  kName,
  kString,   // `text` is the content, escapes resolved
  kInteger,  // `text` is the digits
  kReal,     // `text` is digits with a fraction, an exponent or both
  kOperator,
  kEnd,  // of the template
};

struct Lexeme {
  LexemeKind kind = LexemeKind::kEnd;
  std::string text;
  int line = 1;    // from 1
  int column = 1;  // from 1, in bytes
};

// Errors: InvalidArgument with line and column, for what is no token, an unclosed tag or
// string and brackets that do not match; Unimplemented for tokens outside the supported set.
// The last lexeme is the one kEnd. Linear time.
absl::StatusOr<std::vector<Lexeme>> Lex(std::string_view source);

// "line 3, column 7: message".
std::string AtPlace(int line, int column, std::string_view message);

}  // namespace mortar::jinja
