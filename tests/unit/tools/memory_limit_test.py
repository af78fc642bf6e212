# Goal: a program that is given so much memory has no more: it is told whether it runs, ends by
# itself, does not end, or is killed for want of memory. Needs root and control groups, as CI has.
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "..", "tools", "dev"))
import memory_limit

LIMIT = 100_000_000


def python(code, seconds=20):
    return memory_limit.run_limited([sys.executable, "-c", code], LIMIT, seconds)


class Limits(unittest.TestCase):
    def setUp(self):
        try:
            with memory_limit.limited_group(memory_limit.version(), LIMIT):
                pass
        except memory_limit.NoLimits as missing:
            self.fail(f"run this as root, on a machine with control groups: {missing}")

    def test_a_program_that_fits_runs_and_its_memory_is_said(self):
        outcome = python("x = b'1' * 30_000_000; import time; time.sleep(0.5); print('here')")
        self.assertEqual((outcome.code, outcome.out, outcome.killed), (0, "here\n", 0))
        self.assertEqual(outcome.describe(), "runs")
        self.assertGreater(outcome.resident, 25_000_000)
        self.assertLessEqual(outcome.peak, LIMIT)

    def test_one_that_takes_more_is_killed_and_never_has_it(self):
        outcome = python("x = b'1' * 300_000_000; print('here')")
        self.assertNotEqual(outcome.code, 0)
        self.assertEqual(outcome.describe(), "killed for want of memory")
        self.assertLessEqual(outcome.peak, LIMIT)

    def test_pages_of_files_count_and_are_given_back(self):
        path = "/var/tmp/mortar-memory-limit-test"
        with open(path, "wb") as file:
            file.write(b"1" * 200_000_000)
            file.flush()
            os.fsync(file.fileno())
        try:
            memory_limit.forget_pages(path)
            outcome = python(f"print(len(open('{path}', 'rb').read(1000)));"
                             f"f = open('{path}', 'rb')\nwhile f.read(1 << 20): pass")
            self.assertEqual(outcome.code, 0)
            self.assertGreater(outcome.peak, LIMIT / 2)
            self.assertLess(outcome.resident, LIMIT / 2)
        finally:
            os.remove(path)

    def test_one_that_fails_or_goes_on_is_no_success(self):
        self.assertEqual(python("import sys; sys.exit('no')").describe(), "ends with 1: no")
        endless = python("import time; time.sleep(60)", 1)
        self.assertIsNone(endless.code)
        self.assertEqual(endless.describe(), "no end within 1 s")


if __name__ == "__main__":
    unittest.main()
