# Goal: `./dev test` counts what passed and what did not, also when a program crashes.
import json
import os
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tools", "dev"))

import run_tests  # noqa: E402

LISTING = ("Suite.\\n  Good\\n  Crashes\\n  After\\n  DISABLED_Old\\n"
           "Typed/0.  # TypeParam = int\\n  T\\n")


class CountProgram(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.program = os.path.join(self.folder.name, "x_test")
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nprintf "{LISTING}"\n')
        os.chmod(self.program, 0o755)

    def count(self, ended_well, output="", is_gtest=True):
        return run_tests.count_program([self.program], is_gtest, ended_well, output,
                                       self.folder.name, "*")

    def report(self, cases):
        with open(self.program + ".json", "w", encoding="utf-8") as file:
            json.dump({"testsuites": [{"testsuite": cases}]}, file)

    def test_report_is_counted_case_by_case(self):
        self.report([{"status": "RUN", "result": "COMPLETED"},
                     {"status": "RUN", "result": "COMPLETED", "failures": [{}]},
                     {"status": "RUN", "result": "SKIPPED"},
                     {"status": "NOTRUN", "result": "SUPPRESSED"}])
        self.assertEqual(self.count(False), (1, 1, 1))

    def test_failure_after_the_last_case_counts(self):
        self.report([{"status": "RUN", "result": "COMPLETED"}])
        self.assertEqual(self.count(True), (1, 0, 0))
        self.assertEqual(self.count(False), (1, 1, 0))

    def test_crash_leaves_what_did_not_pass_as_failed(self):
        output = ("[ RUN      ] Suite.Good\n[       OK ] Suite.Good (0 ms)\n"
                  "[ RUN      ] Suite.Crashes\n")
        self.assertEqual(self.count(False, output), (1, 3, 0))

    def test_program_of_another_kind_counts_as_one(self):
        self.assertEqual(self.count(True, is_gtest=False), (1, 0, 0))
        self.assertEqual(self.count(False, is_gtest=False), (0, 1, 0))


if __name__ == "__main__":
    unittest.main()
