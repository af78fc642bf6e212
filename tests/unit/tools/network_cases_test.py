# Goal: what is said of sessions that share follows from when their tokens came, each bar can be
# missed, and a page keeps what was not measured anew.
import contextlib
import io
import os
import sys
import tempfile
import types
import unittest
import unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "..", "tools", "dev"))
import network
import network_cases
import network_table
from memory_limit import Outcome
from network_cluster import Failed
from network_table import Row


def session(begin, gaps, submitted=0.0):
    times = [begin]
    for gap in gaps:
        times.append(times[-1] + gap)
    return {"at_ms": times, "submitted_ms": submitted, "tokens": [1] * len(times)}


class Delays(unittest.TestCase):
    def test_a_delay_is_what_a_gap_has_beyond_the_usual_one(self):
        decoding = session(1000.0, [40.0] * 50 + [45.0, 88.0, 43.0] + [40.0] * 20)
        prompt = {"submitted_ms": 3001.0, "at_ms": [3177.0]}
        late = network_cases.delays(decoding, prompt)
        self.assertEqual([round(one) for one in late], [5, 48, 3])

    def test_a_session_that_ends_before_the_prompt_is_read_says_nothing(self):
        decoding = session(1000.0, [40.0] * 60)
        with self.assertRaises(Failed):
            network_cases.delays(decoding, {"submitted_ms": 3001.0, "at_ms": [9000.0]})
        with self.assertRaises(Failed):
            network_cases.delays(decoding, {"submitted_ms": 1100.0, "at_ms": [1300.0]})


class Shares(unittest.TestCase):
    def test_all_are_counted_while_all_decode(self):
        # Together 100 and 50 tokens/s; the slow one goes on alone for a while, which counts not.
        total, each = network_cases.shares([session(0.0, [10.0] * 100), session(0.0, [20.0] * 100)])
        self.assertAlmostEqual(total, 150)
        self.assertAlmostEqual(each[0], 100)
        self.assertAlmostEqual(each[1], 50)

    def test_sessions_one_after_the_other_are_no_more_than_one(self):
        total, _ = network_cases.shares([session(0.0, [10.0] * 99), session(1000.0, [10.0] * 99)])
        self.assertLess(total, 101)


class Memory(unittest.TestCase):
    def row(self, peak):
        return network_cases.memory_row(Outcome(0, "", "", peak, 500_000_000, 0, 60))

    def test_an_edge_that_ends_well_and_needs_more_than_the_bar_misses_it(self):
        self.assertTrue(self.row(1_000_000_000).holds)
        self.assertFalse(self.row(1_000_000_001).holds)
        self.assertGreater(network_cases.EDGE_LIMIT, network_cases.EDGE_MEMORY)


class Failing(unittest.TestCase):
    def test_a_case_that_fails_loses_no_other(self):
        def fails(_):
            raise Failed("no answer")
        row = Row("good", "one", "1.0", "≤ 2", True)
        cases = {"bad": fails, "good": lambda _: [row]}
        options = types.SimpleNamespace(cases=["bad", "good"])
        with unittest.mock.patch.object(network, "CASES", cases), \
                unittest.mock.patch.object(network, "Cases", lambda *_: None), \
                contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()):
            rows, lines, errors = network.measure_cases(options, "")
        self.assertEqual((rows, len(lines), errors), ([row], 1, ["bad: no answer"]))


class Texts(unittest.TestCase):
    def test_a_prompt_is_the_same_each_time_and_another_for_another_seed(self):
        self.assertEqual(network_cases.words(20, 1), network_cases.words(20, 1))
        self.assertNotEqual(network_cases.words(20, 1), network_cases.words(20, 2))
        self.assertEqual(len(network_cases.words(20, 1).split()), 20)
        self.assertEqual(len(network_cases.letters(20, 1)), 20)


class Page(unittest.TestCase):
    rows = [Row("a", "one", "1.0", "≤ 2", True), Row("b", "two", "3.0", "≤ 2", False)]

    def lines(self, rows, when="2026-01-01"):
        return network_table.case_lines(rows, when, 0.5)

    def test_a_line_says_case_figure_bar_and_verdict(self):
        good, bad = self.lines(self.rows)
        self.assertEqual(good, "| `a` | one | 1.0 | ≤ 2 | holds | 2026-01-01, load 0.5 |")
        self.assertIn("**missed**", bad)

    def test_a_case_that_was_measured_anew_takes_its_old_lines_place(self):
        old = self.lines(self.rows)
        new = self.lines([Row("a", "one", "1.5", "≤ 2", True), Row("a", "more", "1", "≤ 2", True)])
        merged = network_table.merged(old, new)
        self.assertEqual(merged, [old[1]] + new)

    def test_writing_one_part_keeps_the_other(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "page.md")
            network_table.write(path, ["speed of old"], self.lines(self.rows))
            network_table.write(path, None, self.lines([Row("b", "two", "1.0", "≤ 2", True)]))
            with open(path, encoding="utf-8") as file:
                text = file.read()
            self.assertIn("speed of old", text)
            self.assertIn("| `a` | one |", text)
            self.assertNotIn("missed", text)
            network_table.write(path, ["speed of new"], [])
            with open(path, encoding="utf-8") as file:
                text = file.read()
            self.assertIn("speed of new", text)
            self.assertNotIn("speed of old", text)
            self.assertIn("| `a` | one |", text)
            self.assertEqual(text.count(network_table.CASES_TITLE), 1)


if __name__ == "__main__":
    unittest.main()
