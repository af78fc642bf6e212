# Goal: each house rule finds what it is for and leaves good code alone.
import os
import sys
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tools", "lint"))

import grouping  # noqa: E402
import house_rules  # noqa: E402
import source  # noqa: E402


def messages(path, text):
    return [message for _, message in house_rules.check(path, text)]


class HouseRules(unittest.TestCase):
    def test_good_header_has_no_finding(self):
        text = ("// Reads what it's given.\n#pragma once\n\nnamespace mortar {\n"
                "inline int Twice(int n_rows) { return 2 * n_rows; }\n}  // namespace mortar\n")
        self.assertEqual(messages("common/a.h", text), [])

    def test_header_needs_pragma_once_in_code_and_not_in_a_comment(self):
        self.assertIn("a header needs #pragma once", messages("common/a.h", "// #pragma once\n"))

    def test_libm_is_found_where_numbers_count(self):
        for call in ("std::exp(x)", "expf(x)", "std::pow (x, 2.0f)", "tanhf(x)"):
            text = f"float F(float x) {{ return {call}; }}\n"
            self.assertTrue(any("libm" in m for m in messages("engine/model/a.cc", text)), call)
            self.assertEqual(messages("cli/a.cc", text), [])

    def test_own_and_exact_functions_are_allowed(self):
        text = "float F(float x) { return Exp(x) + std::sqrt(x) + math.log(x) + fma(x, x, x); }\n"
        self.assertEqual(messages("engine/kernels/a.cc", text), [])

    def test_words_in_comments_and_strings_are_no_code(self):
        text = 'const char* kA = "exp(x)";  // absl::string_view, expf(x)\n#pragma once\n'
        self.assertEqual(messages("engine/kernels/a.h", text), [])

    def test_string_view_of_abseil_stays_out_of_headers(self):
        text = "#pragma once\nvoid F(absl::string_view text);\n"
        self.assertTrue(any("absl::string_view" in m for m in messages("common/a.h", text)))

    def test_long_function_file_and_line(self):
        body = "  Step();\n" * house_rules.LINES_OF_FUNCTION_MAX
        found = messages("common/a.cc", f"namespace a {{\nvoid F() {{\n{body}}}\n}}\n")
        self.assertEqual(found, ["function of 72 lines, at most 70"])
        short = "  Step();\n" * (house_rules.LINES_OF_FUNCTION_MAX - 2)
        good = f"int F(int n) const {{\n{short}}}\n"
        self.assertEqual(messages("common/a.cc", good), [])
        self.assertTrue(any("make it two files" in m
                            for m in messages("common/a.cc", "int a;\n" * 451)))
        self.assertEqual(messages("common/a.cc", "// " + "x" * 98 + "\n"),
                         ["101 columns, at most 100"])

    def test_constructor_lambda_and_class_are_told_apart(self):
        text = ("class A {\n public:\n  A(int n) : n_(n), f_([] { return 1; }) {\n    F();\n  }\n"
                "  A() : n_{1} {\n    F();\n  }\n  int n_;\n};\n"
                "struct B Make() {\n  return {};\n}\n"
                "const int kTable[] = {1,\n 2};\n")
        self.assertEqual(list(source.functions(source.code_only(text))), [(3, 5), (6, 8), (11, 13)])

    def test_control_characters_and_leftovers(self):
        self.assertIn("control character U+202E", messages("docs/a.md", "a\u202eb\n"))
        self.assertIn("control character U+000D", messages("docs/a.md", "a\r\n"))
        self.assertTrue(any("left behind" in m for m in messages("dev", "# FIX" + "ME: later\n")))

    def test_camel_case_names(self):
        text = "void F(int nRows) {\n  const int kMax = Rows(n_rows);\n  return myRows(kMax);\n}\n"
        self.assertEqual(len(messages("common/a.cc", text)), 1)

    def test_stored_data_is_left_alone(self):
        self.assertEqual(messages("tests/data/a.txt", "FIX" + "ME\r\n" * 900), [])


class Grouping(unittest.TestCase):
    def test_own_names_are_those_that_nobody_else_sees(self):
        text = ("#include <vector>\nnamespace mortar {\nnamespace {\n"
                "// Twice(it)\nconstexpr int kMax = 4;\nstd::vector<int> Make(int n) {\n"
                "  return Other(n);\n}\nclass Reader final : public Base {\n  int n_ = 0;\n};\n"
                "using Names = std::vector<int>;\n}  // namespace\n"
                "int Public(int n) { return n; }\nstatic int Hidden() { return 1; }\n"
                "}  // namespace mortar\n")
        self.assertEqual(grouping.own_names(text), {"kMax", "Make", "Reader", "Names", "Hidden"})

    def test_files_are_grouped_unless_names_or_flags_differ(self):
        def file(path, name, flags=()):
            return path, flags, f"namespace {{\nint {name}() {{ return 1; }}\n}}  // namespace\n"
        files = [file("a", "A"), file("b", "B"), file("other", "A"), file("c", "C", ("-mavx2",))]
        self.assertEqual(grouping.groups(files), [["a", "b"], ["other"], ["c"]])

    def test_a_group_has_a_limit(self):
        made = grouping.groups([(str(i), (), "") for i in range(grouping.FILES_MAX + 1)])
        self.assertEqual([len(g) for g in made], [grouping.FILES_MAX, 1])


if __name__ == "__main__":
    unittest.main()
