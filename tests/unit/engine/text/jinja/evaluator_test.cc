// Goal: a rendering ends within its bounds whatever the template does, and operations that go
// beyond the supported set say so.
#include "engine/text/jinja/evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/text/jinja/limits.h"
#include "engine/text/jinja/parser.h"
#include "tests/support/sanitized.h"

namespace mortar::jinja {
namespace {

using testing::HasSubstr;

absl::StatusOr<Text> Render(const std::string& source) {
  ASSIGN_OR_RETURN(const Body body, ParseTemplate(source));
  Variables variables;
  variables["long"] = Text(std::string(1 << 20, 'a'), false);
  variables["city"] = Text("\u57ce", false);
  variables["d"] = Dict{Entry("k", int64_t{1})};
  return Evaluate(body, std::move(variables), std::tm{});
}

std::string Repeat(std::string_view text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

TEST(Evaluator, WorkWithoutEndIsStopped) {
  const std::string loop = "{% for i in range(100000) %}";
  const std::string end = "{% endfor %}";
  std::vector<std::string> sources = {
      Repeat(loop, 3) + Repeat(end, 3),
      loop + "{{ long == long }}" + end,
      loop + "{{ long|replace('b', 'c')|length }}" + end,
      loop + "{{ long[0] }}" + end,
      "{% set x = [1, 1] %}" + Repeat("{% set x = [x, x] %}", 90) + "{{ x == x }}",
      Repeat("{% set x = [x] %}", 5000),
      "{% set x = 'ab' %}" + Repeat("{% set x = x ~ x %}", 60),
      "{% set x = 'ab' %}" + Repeat("{% set x = x + x %}", 60),
      // Eight million bytes of alternating trust: each takes a run beside it.
      "{% set x = 'a' ~ long[0] %}" + Repeat("{% set x = x ~ x %}", 22),
      "{% set x = [1] %}" + Repeat("{% set x = x + x %}", 60),
      "{% set x = 'ab' %}" + Repeat("{% set x = x|replace('a', x) %}", 60),
      "{{ range(100000)|join(long) }}",
      Repeat("{{ long }}", 17),
      "{{ range(100001)|length }}",
      "{{ range(0, 9223372036854775807)|length }}",
      "{% for c in long %}{% endfor %}",
      "{{ 'a'|trim(long) }}",
      "{{ 'a'.strip(long) }}",
      "{{ 'a'.rsplit(long, 1) }}",
      "{{ long.split('a') }}",
      "{{ long * 100 }}",
      "{{ long|indent(long) }}{{ (long ~ '\n' ~ long)|indent(16777216) }}",
      "{{ long|tojson(indent=101) }}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(n) %}{% for i in range(100000) %}{% set x = f(n) %}{% endfor %}{% endmacro %}"
      "{{ f(1) }}",
      "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}"
      "{% endcall %}{% endmacro %}{{ g() }}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}"
      "{% endfor %}",
      "{% set ns = namespace(x={}) %}{% for i in range(1000) %}{% set ns.x = {'a': ns.x} %}"
      "{% endfor %}",
      "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}"
      "{% endfor %}",
      "{% set ns = namespace(x=[1, 1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% endfor %}{{ ns.x }}{{ ns.x|tojson }}",
      "{{ range(100000)|map('replace', '1', long)|list|length }}",
      loop + "{{ [long, long]|sort }}" + end,
      loop + "{{ long.find('b') }}" + end,
  };
  // Loops that take most of the time beside the first above: a sanitizer makes them too long.
  const std::vector<std::string> slow = {
      loop + "{{ long in long }}" + end,
      loop + loop + "{% continue %}" + end + end,
  };
  if (!kSanitized) sources.insert(sources.end(), slow.begin(), slow.end());
  for (const std::string& source : sources) {
    EXPECT_EQ(Render(source).status().code(), absl::StatusCode::kResourceExhausted)
        << source.substr(0, 60);
  }
}

TEST(Evaluator, WhatFitsTheBoundsRenders) {
  EXPECT_EQ(Render(Repeat("{{ long }}", 16))->size(), kOutputBytesMax);
  EXPECT_EQ(Render("{% for i in range(100000) %}x{% endfor %}")->size(), 100000u);
  EXPECT_EQ(Render("{{ long|first }}{{ long|last }}{{ long|length }}")->bytes(), "aa1048576");
}

// A macro may call itself a few dozen times, as those that write JSON schemas do.
TEST(Evaluator, MacrosRecurAsDeepAsSchemasNest) {
  EXPECT_EQ(
      Render("{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{{ n % 10 }}{% endmacro %}"
             "{{ f(40)|length }}")
          ->bytes(),
      "41");
}

TEST(Evaluator, ErrorsNameTheLineInAMacro) {
  EXPECT_EQ(
      Message(Render("{% macro f(x) %}\n\n  {{ x.y.z }}\n{% endmacro %}\n{{ f(1) }}").status()),
      "line 3, column 9: 'int object' has no attribute 'y'");
  EXPECT_EQ(Message(Render("\n{{ 'a'.split(\n 1) }}").status()),
            "line 2, column 7: expected a text as an argument, got a int object");
}

TEST(Evaluator, IntegersDoNotWrap) {
  for (const char* const source :
       {"{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}",
        "{{ 9223372036854775807 * 2 }}", "{{ (-9223372036854775807 - 1) // -1 }}",
        "{{ -(-9223372036854775807 - 1) }}"}) {
    EXPECT_EQ(Render(source).status().code(), absl::StatusCode::kOutOfRange) << source;
  }
  EXPECT_EQ(Render("{{ (-9223372036854775807 - 1) % -1 }}")->bytes(), "0");
  EXPECT_EQ(Render("{{ range(9223372036854775806, 9223372036854775807)|join }}")->bytes(),
            "9223372036854775806");
}

TEST(Evaluator, OperationsOutsideTheSetAreRefusedNotGuessed) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{{ ['\\u200b'] }}", "line 1, column 1: printing a list or dict with U+200B"},
      {"{{ ('a'|safe) + '<' }}", "more than printing what the filter 'safe' gave"},
      {"{{ 'a'|safe|upper }}", "more than printing what the filter 'safe' gave"},
      {"{{ d.items() }}", "printing a view object"},
      {"{{ 'a' ~ [1]|map('string') }}", "printing a generator object"},
      {"{{ d.items }}", "the method 'items' without a call"},
      {"{{ city['strip'] }}", "the method 'strip' without a call"},
      {"{{ city|upper }}", "upper and lower case are supported for ASCII"},
      {"{{ '%s' % 1 }}", "'%' is not supported for a str object and a int object"},
      {"{{ [1] * 2 }}", "'*' is not supported for a list object"},
      {"{{ [1] < [2] }}", "ordering lists"},
      {"{{ 'a'|replace('', 'b') }}", "replacing an empty text"},
      {"{{ {1: 2} }}", "a key that is a int object"},
      {"{% set g = [1]|map('string') %}{{ g|join }}{{ g|join }}", "running twice over"},
      {"{{ d.keys() == d.keys() }}", "comparing a view object"},
      {"{% set f = range %}{{ f(3) }}", "calling a function through a variable"},
      {"{% set ns = namespace() %}{% macro f() %}{% set ns.c = caller %}{{ caller() }}{% endmacro "
       "%}"
       "{% call f() %}{% endcall %}{% set c = ns.c %}{{ c() }}",
       "the body of a call block that has ended"},
  };
  for (const auto& [source, part] : kCases) {
    const auto text = Render(source);
    EXPECT_EQ(text.status().code(), absl::StatusCode::kUnimplemented) << source;
    EXPECT_THAT(Message(text.status()), HasSubstr(part)) << source;
  }
}

}  // namespace
}  // namespace mortar::jinja
