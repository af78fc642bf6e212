// Goal: Jinja outside the supported set is refused by name, with line and column, when the
// template is parsed; so is what nests or grows too far.
#include "engine/text/jinja/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/text/jinja/limits.h"

namespace mortar::jinja {
namespace {

using testing::HasSubstr;

TEST(Parser, UnsupportedJinjaIsRefusedByName) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{% macro f() %}{% endmacro %}", "line 1, column 4: the statement 'macro'"},
      {"{% block x %}{% endblock %}", "the statement 'block'"},
      {"{% raw %}{% endraw %}", "the statement 'raw'"},
      {"{% include 'x' %}", "the statement 'include'"},
      {"{% generation %}", "the statement 'generation'"},
      {"{% break %}", "the statement 'break'"},
      {"\n\n {% set ns.x = 1 %}", "line 3, column 11: setting an attribute"},
      {"{% set x %}a{% endset %}", "a block of 'set'"},
      {"{% set a, b = 1 %}", "a tuple as a target"},
      {"{% for a, b in c %}{% endfor %}", "a tuple as a target"},
      {"{% for a in b recursive %}{% endfor %}", "a recursive loop"},
      {"{% set loop = 1 %}", "setting 'loop'"},
      {"{% set range = 1 %}", "setting 'range'"},
      {"{{ namespace(x=1) }}", "the function 'namespace'"},
      {"{{ strftime_now('%Y') }}", "the function 'strftime_now'"},
      {"{{ range }}", "the global 'range'"},
      {"{{ loop }}", "'loop' other than its attributes"},
      {"{{ loop.cycle('a') }}", "the attribute 'cycle'"},
      {"{{ loop.changed(1) }}", "the attribute 'changed'"},
      {"{{ m.content.strip() }}", "the attribute 'strip'"},
      {"{{ m.items() }}", "the attribute 'items'"},
      {"{{ m['items'] }}", "the key 'items'"},
      {"{{ m.__class__ }}", "the attribute '__class__'"},
      {"{{ m.role() }}", "calling this"},
      {"{{ m|trim() () }}", "calling the result of a filter"},
      {"{{ m|tojson }}", "the filter 'tojson' (known: capitalize, count,"},
      {"{{ m|default('a', boolean=true) }}", "an argument given by name"},
      {"{{ m|default(*a) }}", "unpacking arguments"},
      {"{{ m|upper(1) }}", "the filter 'upper' with 1 arguments"},
      {"{{ m|replace('a') }}", "the filter 'replace' with 1 arguments"},
      {"{{ m is divisibleby 3 }}", "the test 'divisibleby'"},
      {"{{ m is defined 3 }}", "an argument of the test 'defined'"},
      {"{{ (1, 2) }}", "a tuple"},
      {"{{ 1, 2 }}", "a tuple"},
      {"{{ () }}", "a tuple"},
      {"{{ {'a': 1} }}", "a dict in braces"},
      {"{{ a[1:2:3] }}", "the step of a slice"},
      {"{{ a[1, 2] }}", "a tuple as a key"},
      {"{{ a.0 }}", "a number as an attribute"},
      {"{{ 4 / 2 }}", "the operator '/'"},
      {"{{ 2 ** 3 }}", "the operator '**'"},
      {"{{ 1.5 }}", "numbers other than decimal integers"},
      {"{{ 1e5 }}", "numbers other than decimal integers"},
      {"{{ 0x1F }}", "numbers other than decimal integers"},
      {"{{ 1_000 }}", "numbers other than decimal integers"},
      {"{{ 99999999999999999999 }}", "an integer of more than 64 bits"},
      {"{{ '\\N{DASH}' }}", "octal and named escapes"},
      {"{{ '\\101' }}", "octal and named escapes"},
      {"{{ caf\u00e9 }}", "names outside ASCII"},
      {"{{ raise_exception('a', 'b') }}", "raise_exception with 2 arguments"},
  };
  for (const auto& [source, part] : kCases) {
    const auto body = ParseTemplate(source);
    EXPECT_EQ(body.status().code(), absl::StatusCode::kUnimplemented) << source;
    EXPECT_THAT(Message(body.status()), HasSubstr(part)) << source;
  }
}

TEST(Parser, WhatIsNoJinjaIsRefusedWithItsPlace) {
  const std::pair<const char*, const char*> kCases[] = {
      {"a\nb {{ 1", "line 2, column 5: the tag that begins here has no end"},
      {"{{ 'x }}", "line 1, column 4: this string has no end"},
      {"{# x", "line 1, column 3: missing end of comment"},
      {"{{ (1] }}", "line 1, column 6: unexpected ']'"},
      {"{{ ! }}", "line 1, column 4: unexpected character '!'"},
      {"{{ '\\uD800' }}", "this escape stands for no character"},
      {"{{ '\\u12' }}", "truncated escape"},
      {"{% if x %}", "expected 'endif', got the end of the template"},
      {"{% endfor %}", "expected a statement, got 'endfor'"},
      {"{{ 1 2 }}", "line 1, column 6: expected '}}', got '2'"},
  };
  for (const auto& [source, part] : kCases) {
    const auto body = ParseTemplate(source);
    EXPECT_EQ(body.status().code(), absl::StatusCode::kInvalidArgument) << source;
    EXPECT_THAT(Message(body.status()), HasSubstr(part)) << source;
  }
}

std::string Repeat(std::string_view text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

// Each of these would exhaust the stack of a parser, an evaluator or a destructor that recurs
// without a bound.
TEST(Parser, NestingIsBounded) {
  constexpr int kMany = 100'000;
  const std::vector<std::string> sources = {
      "{{ " + Repeat("(", kMany),
      "{{ " + Repeat("[", kMany),
      "{{ " + Repeat("-", kMany) + "1 }}",
      "{{ " + Repeat("not ", kMany) + "1 }}",
      "{{ 1" + Repeat(" + 1", kMany) + " }}",
      "{{ 1" + Repeat(" or 1", kMany) + " }}",
      "{{ a" + Repeat(".b", kMany) + " }}",
      "{{ a" + Repeat("[b", kMany) + " }}",
      "{{ a" + Repeat("|trim", kMany) + " }}",
      "{{ a" + Repeat(" if a", kMany) + " }}",
      "{{ a" + Repeat(" if a else a", kMany) + " }}",
      "{{ a" + Repeat(" is none", kMany) + " }}",
      Repeat("{% if a %}", kMany),
      Repeat("{% for a in b %}", kMany),
  };
  for (const std::string& source : sources) {
    const auto body = ParseTemplate(source);
    EXPECT_FALSE(body.ok()) << source.substr(0, 40);
  }
  EXPECT_TRUE(ParseTemplate("{{ " + Repeat("(", 90) + "1" + Repeat(")", 90) + " }}").ok());
  EXPECT_TRUE(ParseTemplate("{{ 1" + Repeat(" + 1", 90) + " }}").ok());
  EXPECT_TRUE(ParseTemplate("{{ 1" + Repeat(" ~ 1", kMany) + " }}").ok());  // one flat node
}

TEST(Parser, ALongTemplateIsRefused) {
  EXPECT_TRUE(ParseTemplate(std::string(kSourceBytesMax, 'x')).ok());
  EXPECT_EQ(ParseTemplate(std::string(kSourceBytesMax + 1, 'x')).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace mortar::jinja
