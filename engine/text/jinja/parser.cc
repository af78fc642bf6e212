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
  absl::StatusOr<Statement> ParseMacro();
  absl::StatusOr<Statement> ParseCallBlock();
  absl::StatusOr<Statement> ParseGeneration();
  absl::StatusOr<Statement> ParseJump();
  absl::Status ParseTargets(std::vector<std::string>* targets);
  absl::StatusOr<std::string> ParseTarget();
  absl::Status ParseParameters(Parameters* parameters);
  // The body of a tag that opens a scope without a loop around, and its end tag.
  absl::StatusOr<Body> ParseClosedBody(std::string_view end);
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
  int scopes_ = 0;  // scopes that the current statement stands in, besides the template's
  int loops_ = 0;   // loops that it can leave
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
      ASSIGN_OR_RETURN(output.expr, expressions_.ParseTuple());
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
  constexpr std::string_view kOutOfPlace[] = {"elif",  "else",     "endcall", "endfor",
                                              "endif", "endmacro", "endset",  "endgeneration"};
  if (stream_.IsName("for")) return ParseFor();
  if (stream_.IsName("if")) return ParseIf();
  if (stream_.IsName("set")) return ParseSet();
  if (stream_.IsName("macro")) return ParseMacro();
  if (stream_.IsName("call")) return ParseCallBlock();
  if (stream_.IsName("generation")) return ParseGeneration();
  if (stream_.IsName("break") || stream_.IsName("continue")) return ParseJump();
  if (!stream_.Is(LexemeKind::kName)) return stream_.Unexpected("the name of a statement");
  for (const std::string_view name : kOutOfPlace) {
    if (stream_.IsName(name)) return stream_.Unexpected("a statement");
  }
  return stream_.Unsupported("the statement '" + stream_.current().text +
                             "' (known: break, call, continue, for, generation, if, macro, set)");
}

absl::StatusOr<std::string> Parser::ParseTarget() {
  constexpr std::string_view kWords[] = {"true", "True", "false", "False", "none", "None"};
  if (!stream_.Is(LexemeKind::kName)) return stream_.Unexpected("the name of a variable");
  const std::string& name = stream_.current().text;
  for (const std::string_view word : kWords) {
    if (name == word) return stream_.Unexpected("the name of a variable");
  }
  if (!ReservedName(name).empty()) return stream_.Unsupported("setting '" + name + "'");
  return stream_.Take().text;
}

// a, b or (a, b).
absl::Status Parser::ParseTargets(std::vector<std::string>* targets) {
  const bool closed = stream_.TakeOperator("(");
  bool tuple = false;
  do {
    if (stream_.IsOperator("(")) return stream_.Unsupported("a tuple in a tuple as a target");
    ASSIGN_OR_RETURN(std::string target, ParseTarget());
    targets->push_back(std::move(target));
    tuple |= stream_.IsOperator(",");
  } while (stream_.TakeOperator(",") && !stream_.IsOperator(")") && !stream_.IsOperator("=") &&
           !stream_.IsName("in"));
  if (tuple && targets->size() == 1) return stream_.Unsupported("a tuple of one as a target");
  return closed ? stream_.Expect(")") : absl::OkStatus();
}

absl::StatusOr<Statement> Parser::ParseFor() {
  Statement loop = New(StatementKind::kFor);
  stream_.Take();
  RETURN_IF_ERROR(ParseTargets(&loop.targets));
  if (!stream_.TakeName("in")) return stream_.Unexpected("'in'");
  ASSIGN_OR_RETURN(loop.expr, expressions_.ParseOr());
  if (stream_.IsOperator(",")) return stream_.Unsupported("a tuple without parentheses");
  if (stream_.TakeName("if")) {
    ASSIGN_OR_RETURN(loop.filter, expressions_.ParseExpression());
  }
  if (stream_.IsName("recursive")) return stream_.Unsupported("a recursive loop");
  RETURN_IF_ERROR(EndTag());
  ++scopes_;
  ++loops_;
  ASSIGN_OR_RETURN(loop.body, ParseBody({"else", "endfor"}));
  --loops_;
  if (stream_.TakeName("else")) {
    RETURN_IF_ERROR(EndTag());
    ASSIGN_OR_RETURN(loop.otherwise, ParseBody({"endfor"}));
  }
  --scopes_;
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
      ASSIGN_OR_RETURN(branch.condition, expressions_.ParseTuple());
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
  RETURN_IF_ERROR(ParseTargets(&set.targets));
  if (stream_.IsOperator("|")) return stream_.Unsupported("a filter of a block of 'set'");
  const bool one = set.targets.size() == 1;
  if (one && stream_.TakeOperator(".")) {
    set.kind = StatementKind::kSetAttribute;
    if (!stream_.Is(LexemeKind::kName)) return stream_.Unexpected("the name of an attribute");
    set.attribute = stream_.Take().text;
  } else if (one && stream_.Is(LexemeKind::kBlockEnd)) {
    set.kind = StatementKind::kSetBlock;
    RETURN_IF_ERROR(EndTag());
    ASSIGN_OR_RETURN(set.body, ParseClosedBody("endset"));
    return set;
  }
  RETURN_IF_ERROR(stream_.Expect("="));
  ASSIGN_OR_RETURN(set.expr, expressions_.ParseTuple());
  RETURN_IF_ERROR(EndTag());
  return set;
}

// Parameters between parentheses, up to and with the closing one.
absl::Status Parser::ParseParameters(Parameters* parameters) {
  RETURN_IF_ERROR(stream_.Expect("("));
  while (!stream_.TakeOperator(")")) {
    if (!parameters->names.empty()) RETURN_IF_ERROR(stream_.Expect(","));
    ASSIGN_OR_RETURN(std::string name, ParseTarget());
    for (const std::string& other : parameters->names) {
      if (name == other) return stream_.Error("the parameter '" + name + "' is there already");
    }
    if (name == "caller") return stream_.Unsupported("a parameter named 'caller'");
    std::unique_ptr<Expr> standard;
    if (stream_.TakeOperator("=")) {
      ASSIGN_OR_RETURN(standard, expressions_.ParseExpression());
    } else if (!parameters->defaults.empty() && parameters->defaults.back() != nullptr) {
      return stream_.Unexpected("a parameter with a default after one with a default");
    }
    parameters->names.push_back(std::move(name));
    parameters->defaults.push_back(std::move(standard));
  }
  return absl::OkStatus();
}

absl::StatusOr<Body> Parser::ParseClosedBody(std::string_view end) {
  ++scopes_;
  const int loops = std::exchange(loops_, 0);
  ASSIGN_OR_RETURN(Body body, ParseBody({end}));
  loops_ = loops;
  --scopes_;
  stream_.Take();
  RETURN_IF_ERROR(EndTag());
  return body;
}

// Macros see the template's own variables alone, so they stand outside of loops and macros.
absl::StatusOr<Statement> Parser::ParseMacro() {
  Statement macro = New(StatementKind::kMacro);
  if (scopes_ > 0) return stream_.Unsupported("a macro inside a loop, a macro or a block");
  stream_.Take();
  ASSIGN_OR_RETURN(std::string name, ParseTarget());
  macro.targets.push_back(std::move(name));
  expressions_.TakeSawCaller();
  RETURN_IF_ERROR(ParseParameters(&macro.parameters));
  RETURN_IF_ERROR(EndTag());
  ASSIGN_OR_RETURN(macro.body, ParseClosedBody("endmacro"));
  macro.parameters.uses_caller = expressions_.TakeSawCaller();
  return macro;
}

absl::StatusOr<Statement> Parser::ParseCallBlock() {
  Statement call = New(StatementKind::kCallBlock);
  stream_.Take();
  if (stream_.IsOperator("(")) RETURN_IF_ERROR(ParseParameters(&call.parameters));
  ASSIGN_OR_RETURN(call.expr, expressions_.ParseExpression());
  if (call.expr->kind != ExprKind::kCall) return stream_.Unexpected("a call of a macro");
  RETURN_IF_ERROR(EndTag());
  ASSIGN_OR_RETURN(call.body, ParseClosedBody("endcall"));
  return call;
}

// Hugging Face's mark of what the model wrote: its text is put out as it is.
absl::StatusOr<Statement> Parser::ParseGeneration() {
  Statement scope = New(StatementKind::kScope);
  stream_.Take();
  RETURN_IF_ERROR(EndTag());
  ASSIGN_OR_RETURN(scope.body, ParseClosedBody("endgeneration"));
  return scope;
}

absl::StatusOr<Statement> Parser::ParseJump() {
  Statement jump = New(stream_.IsName("break") ? StatementKind::kBreak : StatementKind::kContinue);
  if (loops_ == 0) return stream_.Error("'" + stream_.current().text + "' outside of a loop");
  stream_.Take();
  RETURN_IF_ERROR(EndTag());
  return jump;
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
