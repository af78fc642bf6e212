// Goal: a rendering ends within its bounds whatever the template does, and operations that go
// beyond the supported set say so.
#include "engine/text/jinja/evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/text/jinja/limits.h"
#include "engine/text/jinja/parser.h"

namespace mortar::jinja {
namespace {

using testing::HasSubstr;

absl::StatusOr<Text> Render(const std::string& source) {
  ASSIGN_OR_RETURN(const Body body, ParseTemplate(source));
  Variables variables;
  variables["long"] = Text(std::string(1 << 20, 'a'), false);
  variables["city"] = Text("\u57ce", false);
  variables["d"] = Dict{{"k", Value(int64_t{1})}};
  return Evaluate(body, std::move(variables));
}

std::string Repeat(std::string_view text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

TEST(Evaluator, WorkWithoutEndIsStopped) {
  const std::string loop = "{% for i in range(100000) %}";
  const std::string end = "{% endfor %}";
  const std::vector<std::string> sources = {
      Repeat(loop, 3) + Repeat(end, 3),
      loop + "{{ long == long }}" + end,
      loop + "{{ long in long }}" + end,
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
  };
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
      {"{{ [1] }}", "line 1, column 1: printing a list object"},
      {"{{ d }}", "printing a dict object"},
      {"{{ 'a' ~ [1] }}", "printing a list object"},
      {"{{ city|upper }}", "case filters are supported for ASCII"},
      {"{{ 'a' * 3 }}", "'*' is supported for integers alone"},
      {"{{ '%s' % 1 }}", "'%' is supported for integers alone"},
      {"{{ [1] < [2] }}", "ordering lists"},
      {"{{ 'a'|replace('', 'b') }}", "replacing an empty text"},
  };
  for (const auto& [source, part] : kCases) {
    const auto text = Render(source);
    EXPECT_EQ(text.status().code(), absl::StatusCode::kUnimplemented) << source;
    EXPECT_THAT(Message(text.status()), HasSubstr(part)) << source;
  }
}

}  // namespace
}  // namespace mortar::jinja
