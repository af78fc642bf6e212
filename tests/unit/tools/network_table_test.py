# Goal: what is said of a measured network, also which bars it misses, follows from the figures.
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "..", "tools", "dev"))
import network_table
from network_table import COMPARED, LINKS, SLOPE_MAX

ROW_BYTES = 2304
TWO, THREE, RELAYED = SLOPE_MAX


def answer(prompt=10, tokens=21, compute_ms=(40.0, 60.0), overhead=200, prefill_tok_s=100.0,
           decode_tok_s=20.0):
    """Of an edge: prompt rows in one message, then one a token."""
    hop_bytes = (prompt + tokens - 1) * ROW_BYTES + tokens * overhead
    return {"prompt_tokens": [1] * prompt, "tokens": [2] * tokens,
            "timings": {"prefill_tok_s": prefill_tok_s, "decode_tok_s": decode_tok_s},
            "wire": {"hops": [{"messages": tokens, "bytes": hop_bytes - tokens * 8 * i,
                               "compute_ms": ms} for i, ms in enumerate(compute_ms)]}}


def results(ways=(1.0, 1.5, 2.0), llama_ms=70.0, overhead=200, lookup_ms=10.0):
    """As if a token took 8 ms and so many round trips, and llama.cpp the same everywhere."""
    links = {}
    for link in LINKS:
        links[link] = {name: [{"ms": 8 + way * link[0], "beyond": way * link[0],
                               "hop_bytes": ROW_BYTES + overhead}] * 3
                       for name, way in zip(SLOPE_MAX, ways)}
        links[link]["-ngl 99"] = [{"ms": llama_ms}] * 3
    drafts = {"none": [{"ms": 38.0, "proposed": 0, "accepted": 0}] * 3,
              "lookup": [{"ms": lookup_ms, "proposed": 50, "accepted": 48}] * 3}
    return {"links": links, "drafts": drafts, "row_bytes": ROW_BYTES, "alone": [8.0],
            "loads": [0.5], "screened": {"-ngl 99": 14.0}}


def missed(measured):
    return [what for what, _, _, holds in network_table.bars(measured) if not holds]


class Figures(unittest.TestCase):
    def test_the_slope_is_that_of_the_line_with_the_least_squares(self):
        self.assertAlmostEqual(network_table.slope([(10, 18), (30, 38), (100, 108)]), 1)
        self.assertAlmostEqual(network_table.slope([(0, 0), (1, 3), (2, 3)]), 1.5)

    def test_a_token_is_the_mean_behind_the_first_and_beyond_compute_counts_all(self):
        one = network_table.figures(answer(), ROW_BYTES)
        self.assertEqual(one["ms"], 50)
        # 100 ms of prompt and 20 tokens of 50 ms, of which 100 ms were computing.
        self.assertAlmostEqual(one["beyond"], (100 + 20 * 50 - 100) / 21)

    def test_bytes_of_a_hop_do_not_count_the_prompts_rows_and_the_largest_hop_is_shown(self):
        for prompt in (1, 10, 300):
            self.assertAlmostEqual(network_table.hop_bytes(answer(prompt=prompt), ROW_BYTES), 2504)

    def test_ratios_are_those_of_pairs(self):
        records = {"a": [{"ms": 10.0}, {"ms": 20.0}], "b": [{"ms": 20.0}, {"ms": 50.0}]}
        self.assertEqual(network_table.ratios(records, "a", "b"), [2.0, 2.5])


class Bars(unittest.TestCase):
    def test_a_good_network_holds_all(self):
        self.assertEqual(len(network_table.bars(results())), 6)
        self.assertEqual(missed(results()), [])

    def test_each_bar_can_be_missed_alone(self):
        for bad, named in ((results(ways=(1.1, 1.5, 2.0)), f"{TWO}: ms per token"),
                           (results(ways=(1.0, 1.7, 2.0)), f"{THREE}: ms per token"),
                           (results(ways=(1.0, 1.5, 2.7)), f"{RELAYED}: ms per token"),
                           (results(llama_ms=50.0), "llama.cpp"),
                           (results(overhead=301), "bytes of a hop"),
                           (results(lookup_ms=20.0), "copying")):
            found = missed(bad)
            self.assertEqual(len(found), 1, named)
            self.assertIn(named, found[0])

    def test_the_fastest_setting_of_llama_cpp_is_compared_with_too(self):
        measured = results()
        measured["links"][COMPARED]["-ngl 99 -fa 1"] = [{"ms": 45.0}] * 3
        self.assertEqual(network_table.best_peer(measured), "-ngl 99 -fa 1")
        self.assertEqual(missed(measured),
                         ["tokens/s over llama.cpp `-ngl 99 -fa 1`, 30 ms and 100 Mbit/s"])

    def test_one_link_alone_has_no_slope_and_another_one_no_ratios(self):
        measured = results()
        measured["links"] = {LINKS[0]: measured["links"][LINKS[0]]}
        measured["drafts"] = {}
        self.assertEqual([what for what, _, _, _ in network_table.bars(measured)],
                         ["bytes of a hop and token, encrypted"])


class Page(unittest.TestCase):
    def test_tables_have_a_line_for_each_setting_and_say_what_is_missed(self):
        measured = results(ways=(1.1, 1.5, 2.0))
        self.assertEqual(len(network_table.speed_table(measured)), 2 + 4 * len(LINKS))
        lines = network_table.bars_table(measured)
        self.assertEqual(sum("**missed**" in line for line in lines), 1)
        self.assertIn("| lookup | 10.0 (10.0 to 10.0) | 100.0 (100.0 to 100.0) | 50, 48 |",
                      network_table.drafts_table(measured))
        for table in (network_table.speed_table(measured), network_table.drafts_table(measured)):
            self.assertEqual(len({line.count("|") for line in table}), 1)


if __name__ == "__main__":
    unittest.main()
