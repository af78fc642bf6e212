#include "engine/text/jinja/parser.h"

#include "engine/text/jinja/expression_parser.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/jinja/token_stream.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

class Parser {
 public:
  explicit Parser(std::vector<Lexeme> lexemes)
      : stream_(std::move(lexemes)), expressions_(stream_) {}

  absl::StatusOr<Body> Run() {
    ASSIGN_OR_RETURN(Body body, ParseBody({}));
    if (!stream_.Is(LexemeKind::kEnd)) return stream_.Unexpected("the end of the template");
    return body;
  }

 private:
  // Statements up to a tag whose name is one of `ends`, which becomes the current lexeme; with no
  // ends, up to the template's.
  absl::StatusOr<Body> ParseBody(const std::vector<std::string_view>& ends);
  absl::StatusOr<Statement> ParseTag();
  absl::StatusOr<Statement> ParseFor();
  absl::StatusOr<Statement> ParseIf();
  absl::StatusOr<Statement> ParseSet();
  absl::StatusOr<std::string> ParseTarget();
  absl::Status EndTag() { return stream_.ExpectKind(LexemeKind::kBlockEnd, "'%}'"); }
  Statement New(StatementKind kind) const {
    Statement statement{};
    statement.kind = kind;
    statement.line = stream_.current().line;
    statement.column = stream_.current().column;
    return statement;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
  int nesting_ = 0;
};

absl::StatusOr<Body> Parser::ParseBody(const std::vector<std::string_view>& ends) {
  if (++nesting_ > kNestingMax) {
    return ResourceExhausted(
        AtPlace(stream_.current().line, stream_.current().column,
                "statements nest deeper than " + std::to_string(kNestingMax) + " levels"));
  }
  Body body;
  while (!stream_.Is(LexemeKind::kEnd)) {
    if (stream_.Is(LexemeKind::kText)) {
      Statement text = New(StatementKind::kText);
      text.text = Text(stream_.Take().text, true);
      body.push_back(std::move(text));
    } else if (stream_.Is(LexemeKind::kOutputBegin)) {
      Statement output = New(StatementKind::kOutput);
      stream_.Take();
      ASSIGN_OR_RETURN(output.expr, expressions_.ParseExpression());
      if (stream_.IsOperator(",")) return stream_.Unsupported("a tuple");
      RETURN_IF_ERROR(stream_.ExpectKind(LexemeKind::kOutputEnd, "'}}'"));
      body.push_back(std::move(output));
    } else {
      RETURN_IF_ERROR(stream_.ExpectKind(LexemeKind::kBlockBegin, "'{%'"));
      for (const std::string_view end : ends) {
        if (!stream_.IsName(end)) continue;
        --nesting_;
        return body;
      }
      ASSIGN_OR_RETURN(Statement statement, ParseTag());
      body.push_back(std::move(statement));
    }
  }
  if (!ends.empty()) return stream_.Unexpected("'" + std::string(ends.back()) + "'");
  --nesting_;
  return body;
}

absl::StatusOr<Statement> Parser::ParseTag() {
  constexpr std::string_view kOutOfPlace[] = {"elif", "else", "endfor", "endif"};
  if (stream_.IsName("for")) return ParseFor();
  if (stream_.IsName("if")) return ParseIf();
  if (stream_.IsName("set")) return ParseSet();
  if (!stream_.Is(LexemeKind::kName)) return stream_.Unexpected("the name of a statement");
  for (const std::string_view name : kOutOfPlace) {
    if (stream_.IsName(name)) return stream_.Unexpected("a statement");
  }
  return stream_.Unsupported("the statement '" + stream_.current().text +
                             "' (known: for, if, set)");
}

absl::StatusOr<std::string> Parser::ParseTarget() {
  constexpr std::string_view kWords[] = {"true", "True", "false", "False", "none", "None"};
  if (stream_.IsOperator("(")) return stream_.Unsupported("a tuple as a target");
  if (!stream_.Is(LexemeKind::kName)) return stream_.Unexpected("the name of a variable");
  const std::string& name = stream_.current().text;
  for (const std::string_view word : kWords) {
    if (name == word) return stream_.Unexpected("the name of a variable");
  }
  if (!ReservedName(name).empty()) return stream_.Unsupported("setting '" + name + "'");
  std::string target = stream_.Take().text;
  if (stream_.IsOperator(",")) return stream_.Unsupported("a tuple as a target");
  if (stream_.IsOperator(".")) return stream_.Unsupported("setting an attribute");
  return target;
}

absl::StatusOr<Statement> Parser::ParseFor() {
  Statement loop = New(StatementKind::kFor);
  stream_.Take();
  ASSIGN_OR_RETURN(loop.name, ParseTarget());
  if (!stream_.TakeName("in")) return stream_.Unexpected("'in'");
  ASSIGN_OR_RETURN(loop.expr, expressions_.ParseOr());
  if (stream_.IsOperator(",")) return stream_.Unsupported("a tuple");
  if (stream_.TakeName("if")) {
    ASSIGN_OR_RETURN(loop.filter, expressions_.ParseExpression());
  }
  if (stream_.IsName("recursive")) return stream_.Unsupported("a recursive loop");
  RETURN_IF_ERROR(EndTag());
  ASSIGN_OR_RETURN(loop.body, ParseBody({"else", "endfor"}));
  if (stream_.TakeName("else")) {
    RETURN_IF_ERROR(EndTag());
    ASSIGN_OR_RETURN(loop.otherwise, ParseBody({"endfor"}));
  }
  stream_.Take();
  RETURN_IF_ERROR(EndTag());
  return loop;
}

absl::StatusOr<Statement> Parser::ParseIf() {
  Statement choice = New(StatementKind::kIf);
  bool conditional = true;  // the branch that begins here has a condition
  while (!stream_.IsName("endif")) {
    stream_.Take();
    Branch branch;
    if (conditional) {
      ASSIGN_OR_RETURN(branch.condition, expressions_.ParseExpression());
      if (stream_.IsOperator(",")) return stream_.Unsupported("a tuple");
    }
    RETURN_IF_ERROR(EndTag());
    if (conditional) {
      ASSIGN_OR_RETURN(branch.body, ParseBody({"elif", "else", "endif"}));
      conditional = !stream_.IsName("else");
    } else {
      ASSIGN_OR_RETURN(branch.body, ParseBody({"endif"}));
    }
    choice.branches.push_back(std::move(branch));
  }
  stream_.Take();
  RETURN_IF_ERROR(EndTag());
  return choice;
}

absl::StatusOr<Statement> Parser::ParseSet() {
  Statement set = New(StatementKind::kSet);
  stream_.Take();
  ASSIGN_OR_RETURN(set.name, ParseTarget());
  if (stream_.Is(LexemeKind::kBlockEnd) || stream_.IsOperator("|")) {
    return stream_.Unsupported("a block of 'set'");
  }
  RETURN_IF_ERROR(stream_.Expect("="));
  ASSIGN_OR_RETURN(set.expr, expressions_.ParseExpression());
  if (stream_.IsOperator(",")) return stream_.Unsupported("a tuple");
  RETURN_IF_ERROR(EndTag());
  return set;
}

}  // namespace

absl::StatusOr<Body> ParseTemplate(std::string_view source) {
  if (source.size() > kSourceBytesMax) {
    return ResourceExhausted("a template of " + std::to_string(source.size()) +
                             " bytes, expected at most " + std::to_string(kSourceBytesMax));
  }
  if (const auto at = FindInvalidUtf8(source)) {
    return InvalidArgument("not valid UTF-8 at byte " + std::to_string(*at));
  }
  ASSIGN_OR_RETURN(std::vector<Lexeme> lexemes, Lex(source));
  return Parser(std::move(lexemes)).Run();
}

}  // namespace mortar::jinja
