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
      {"{% block x %}{% endblock %}", "line 1, column 4: the statement 'block'"},
      {"{% raw %}{% endraw %}", "the statement 'raw'"},
      {"{% include 'x' %}", "the statement 'include'"},
      {"{% filter upper %}{% endfilter %}", "the statement 'filter'"},
      {"\n\n {% set x | upper %}a{% endset %}", "line 3, column 11: a filter of a block of 'set'"},
      {"{% set a, (b, c) = 1 %}", "a tuple in a tuple as a target"},
      {"{% set a, = [1] %}", "a tuple of one as a target"},
      {"{% for a in b recursive %}{% endfor %}", "a recursive loop"},
      {"{% for a in b, c %}{% endfor %}", "a tuple without parentheses"},
      {"{% for a in b %}{% macro f() %}{% endmacro %}{% endfor %}", "a macro inside a loop"},
      {"{% macro f() %}{% macro g() %}{% endmacro %}{% endmacro %}", "a macro inside a loop"},
      {"{% macro f(caller) %}{% endmacro %}", "a parameter named 'caller'"},
      {"{% set loop = 1 %}", "setting 'loop'"},
      {"{% set range = 1 %}", "setting 'range'"},
      {"{{ cycler('a') }}", "the function 'cycler' (known: dict, namespace,"},
      {"{{ lipsum }}", "the global 'lipsum'"},
      {"{{ loop }}", "'loop' other than its attributes"},
      {"{{ loop(x) }}", "'loop' other than its attributes"},
      {"{{ loop.cycle('a') }}", "the attribute 'cycle'"},
      {"{{ loop.changed(1) }}", "the attribute 'changed'"},
      {"{{ m.__class__ }}", "the attribute '__class__'"},
      {"{{ m.content.format(1) }}", "the method 'format' is not supported"},
      {"{{ m.content.encode() }}", "the method 'encode' is not supported"},
      {"{{ m.content.split('a', 1, 2) }}", "the method 'split' with 3 arguments"},
      {"{{ m.get('a', default=1) }}", "the method 'get' with an argument named 'default'"},
      {"{{ m|trim() () }}", "calling the result of a filter"},
      {"{{ m|urlize }}", "the filter 'urlize' (known: abs, capitalize, count,"},
      {"{{ m|default('a', nope=true) }}", "the filter 'default' with an argument named 'nope'"},
      {"{{ m|default(*a) }}", "unpacking arguments"},
      {"{{ m|upper(1) }}", "the filter 'upper' with 1 arguments"},
      {"{{ m|replace('a') }}", "the filter 'replace' with 1 arguments"},
      {"{{ m|map(x)|list }}", "the filter 'map' without a filter's name"},
      {"{{ m|map('urlize')|list }}", "the filter 'urlize'"},
      {"{{ m|selectattr('a', 'nope')|list }}", "the filter 'selectattr' by the test 'nope'"},
      {"{{ m|selectattr|list }}", "the filter 'selectattr' without an attribute"},
      {"{{ m is escaped }}", "the test 'escaped'"},
      {"{{ m is defined 3 }}", "the test 'defined' with 1 arguments"},
      {"{{ a[1, 2] }}", "a tuple as a key"},
      {"{{ 2 ** 3 }}", "the operator '**'"},
      {"{{ 1e }}", "numbers other than decimal integers and fractions"},
      {"{{ 0x1F }}", "numbers other than decimal integers"},
      {"{{ 1_000 }}", "numbers other than decimal integers"},
      {"{{ 1.5x }}", "numbers other than decimal integers"},
      {"{{ 99999999999999999999 }}", "an integer of more than 64 bits"},
      {"{{ '\\N{DASH}' }}", "octal and named escapes"},
      {"{{ '\\101' }}", "octal and named escapes"},
      {"{{ caf\u00e9 }}", "names outside ASCII"},
      {"{{ raise_exception('a', 'b') }}", "raise_exception with 2 arguments"},
      {"{{ range(stop=3) }}", "range with these 1 arguments"},
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
      {"{% break %}", "line 1, column 4: 'break' outside of a loop"},
      {"{% for a in b %}{% set x %}{% continue %}{% endset %}{% endfor %}", "outside of a loop"},
      {"{% macro f(a, a) %}{% endmacro %}", "the parameter 'a' is there already"},
      {"{% macro f(a=1, b) %}{% endmacro %}", "expected a parameter with a default"},
      {"{% macro f(*a) %}{% endmacro %}", "expected the name of a variable, got '*'"},
      {"{% call x %}{% endcall %}", "expected a call of a macro"},
      {"{% set a.b.c = 1 %}", "expected '=', got '.'"},
      {"{{ f(a=1, 2) }}", "expected an argument with a name"},
      {"{{ {'a' 1} }}", "expected ':', got '1'"},
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
      Repeat("{% set a %}", kMany),
      "{{ " + Repeat("{'a': ", kMany),
      "{{ a" + Repeat(".strip()", kMany) + " }}",
      "{{ " + Repeat("f(", kMany),
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
