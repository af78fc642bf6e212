"""Speed behind emulated links, beside llama.cpp's RPC server behind the same ones.

usage: network.py MORTAR LINK_PROXY LLAMA_FOLDER LLAMA_FLAGS MODEL [--cases NAME,NAME] [--pairs N]
       [--tokens N] [--links RTT,RTT] [--threads T] [--models FOLDER] [--write]

The case `speed` is this file's, the others are network_cases.py's. Of `speed`:
Of each pair every setting runs once at every link, with programs that are started for it: two
nodes, three with direct links, three with relayed ends, and llama.cpp with the best of its
settings, chosen by one run of each. The exit code is 1 where a bar is missed (network_table.py).
"""
import argparse
import json
import os
import signal
import sys
import tempfile
import time

import network_table
from memory_limit import NoLimits
from network_cases import CASES, Cases
from network_cluster import Failed, Network, run
from network_table import COMPARED, LINKS, LLAMA_AS_TOLD, SLOPE_MAX

PROMPT = "Once upon a time there was a small village by the sea. Every morning"
# What a model does behind a text and its beginning again is to copy.
LIST = ("The keeper wrote: seven lamps, two ropes, a brass compass, nine candles, one map of the "
        "northern coast, a kettle without a lid, forty nails, and a letter that nobody had "
        "opened. ")
COPY_PROMPT = LIST + LIST + "The keeper wrote: seven lamps, two"
# How many workers, and what the edge is told.
SHAPES = dict(zip(SLOPE_MAX, ((1, []), (2, []), (2, ["--no-direct"]))))
# As its README says; and with the head at the client, which spares the link the logits.
LLAMA_SETTINGS = tuple(f"{split}{attention}" for split in
                       (LLAMA_AS_TOLD, f"{LLAMA_AS_TOLD} -ot token_embd\\.weight=CPU")
                       for attention in ("", " -fa 1"))


class Bench:
    """The measurement: settings, and what came of them."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.tokens = {}  # of one process, by prompt
        model = json.loads(run([options.mortar, "inspect", options.model, "--json"]))
        links = [link for link in LINKS if link[0] in options.links]
        self.results = {"links": {link: {} for link in links}, "drafts": {}, "alone": [],
                        "loads": [], "screened": {}, "row_bytes": 4 * model["n_embd"]}

    def network(self, link):
        return Network(self.options, tempfile.mkdtemp(dir=self.folder), link)

    def say(self, text):
        self.results["loads"].append(os.getloadavg()[0])
        print(f"  {text}", file=sys.stderr)

    def answer_alone(self, prompt):
        answer = json.loads(run(
            [self.options.mortar, "run", "-m", self.options.model, "-t", str(self.options.threads),
             "--raw", "--json", "-n", str(self.options.tokens), "--temp", "0", "-p", prompt]))
        self.tokens[prompt] = answer["tokens"]
        return answer

    def answer(self, link, workers, prompt, flags):
        network = self.network(link)
        with network.cluster(workers) as edge:
            answer = network.answer(edge, prompt, self.options.tokens, flags)
        if answer["tokens"] != self.tokens[prompt]:
            raise Failed(f"{workers} workers at {link}: other tokens than one process gives")
        nodes = len({hop["node"] for hop in answer["route"]})
        if nodes != workers + 1:
            raise Failed(f"{nodes} nodes in a route over {workers} workers")
        return answer

    def of_shape(self, link, name):
        workers, flags = SHAPES[name]
        figures = network_table.figures(self.answer(link, workers, PROMPT, flags),
                                        self.results["row_bytes"])
        self.results["links"][link].setdefault(name, []).append(figures)
        self.say(f"{link[0]} ms, {name}: {figures['ms']:.1f} ms per token")

    def of_llama(self, link, flags):
        speed = self.network(link).llama(flags, self.options.tokens)
        self.say(f"{link[0]} ms, llama.cpp {flags}: {1000 / speed:.1f} ms per token")
        return {"ms": 1000 / speed}

    def screen(self):
        """Settings of llama.cpp: those that are measured at all links."""
        for flags in LLAMA_SETTINGS:
            self.results["screened"][flags] = 1000 / self.of_llama(COMPARED, flags)["ms"]
        return max(LLAMA_SETTINGS, key=self.results["screened"].get)

    def of_drafts(self):
        for kind in ("none", "lookup"):
            answer = self.answer(COMPARED, 1, COPY_PROMPT, ["--draft", kind])
            record = network_table.figures(answer, self.results["row_bytes"]) | answer["drafts"]
            self.results["drafts"].setdefault(kind, []).append(record)
            self.say(f"{COMPARED[0]} ms, drafts {kind}: {record['ms']:.1f} ms per token")

    def measure(self):
        for prompt in (PROMPT, COPY_PROMPT):
            self.answer_alone(prompt)
        compared = COMPARED in self.results["links"]
        best = self.screen() if compared else LLAMA_AS_TOLD
        for pair in range(self.options.pairs):
            print(f"pair {pair + 1} of {self.options.pairs}", file=sys.stderr)
            alone = self.answer_alone(PROMPT)
            self.results["alone"].append(1000 / alone["timings"]["decode_tok_s"])
            for link, records in self.results["links"].items():
                peers = dict.fromkeys((best, LLAMA_AS_TOLD) if link == COMPARED else (best,))
                for name in SHAPES:
                    self.of_shape(link, name)
                for flags in peers:
                    records.setdefault(flags, []).append(self.of_llama(link, flags))
            if compared:
                self.of_drafts()
        return self.results


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench network")
    for name in ("mortar", "link_proxy", "llama", "llama_flags", "model"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    known_cases = ["speed"] + list(CASES)
    parser.add_argument("--cases", default=",".join(known_cases),
                        help="what is measured, of %(default)s")
    parser.add_argument("--models", default=".",
                        help="where models with random weights are, or are written")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each setting (default 3)")
    parser.add_argument("--tokens", type=int, default=64, help="of an answer (default 64)")
    known = [link[0] for link in LINKS]
    parser.add_argument("--links", default=",".join(map(str, known)),
                        help="round trips in ms, of %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="of each process (default 1)")
    parser.add_argument("--write", action="store_true",
                        help="also write docs/benchmarks-network.md")
    options = parser.parse_args()
    options.cases = options.cases.split(",")
    for case in options.cases:
        if case not in known_cases:
            parser.error(f"--cases: {case} is none of {', '.join(known_cases)}")
    beside = os.path.dirname(options.link_proxy)  # they are built together
    options.edge_sessions = os.path.join(beside, "edge_sessions")
    options.write_model = os.path.join(beside, "write_bench_model")
    options.links = options.links.split(",")
    for link in options.links:
        if link not in map(str, known):
            parser.error(f"--links: {link} is none of {', '.join(map(str, known))}")
    options.links = [int(link) for link in options.links]
    if options.pairs < 1 or options.tokens < 2:
        parser.error("at least 1 of --pairs and 2 of --tokens")
    return options


def say(text):
    print(f"  {text}", file=sys.stderr)


def measure_cases(options, folder):
    """(rows, lines of the table, errors) of the cases that were asked for, each printed when it is
    done. One that fails loses no other."""
    rows, lines, errors = [], [], []
    cases = Cases(options, folder, say)
    for name in options.cases:
        if name == "speed":
            continue
        print(f"case {name}", file=sys.stderr)
        try:
            measured = CASES[name](cases)
        except (Failed, NoLimits) as failed:
            errors.append(f"{name}: {failed}")
            print(f"error: {errors[-1]}", file=sys.stderr)
            continue
        new = network_table.case_lines(measured, time.strftime("%Y-%m-%d"), os.getloadavg()[0])
        print("\n".join(new), flush=True)
        rows += measured
        lines += new
    return rows, lines, errors


def main():
    options = parse()
    # So that all programs are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    speed, missed, errors = None, [], []
    with tempfile.TemporaryDirectory() as folder:
        if "speed" in options.cases:
            try:
                results = Bench(options, folder).measure()
                speed = network_table.page(options, results)
                print("\n".join(speed))
                missed += [what for what, _, _, holds in network_table.bars(results) if not holds]
            except (Failed, NoLimits) as failed:
                errors.append(f"speed: {failed}")
                print(f"error: {errors[-1]}", file=sys.stderr)
        rows, lines, failed_cases = measure_cases(options, folder)
        errors += failed_cases
    missed += [f"{row.case}: {row.what}" for row in rows if not row.holds]
    if options.write:
        network_table.write("docs/benchmarks-network.md", speed, lines)
    for what in missed:
        print(f"error: missed: {what}", file=sys.stderr)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if missed or errors else 0


if __name__ == "__main__":
    sys.exit(main())
