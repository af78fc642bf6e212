"""Decode and prefill speed of `mortar bench` beside llama.cpp's, in alternation on one machine.

usage: bench.py MORTAR MODEL LLAMA_FLAGS --llama NAME=LLAMA_BENCH... [--pairs N] [--threads T,T]
       [--write]

A pair is one run of each program, so that a machine that slows down slows both. Each build of
llama.cpp is measured with and without flash attention, and with and without weights repacked for
the CPU; the best median counts. A setting that ends badly is named in the table and not run
again.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

TESTS = {"tg128": ["-p", "0", "-n", "128"], "pp512": ["-p", "512", "-n", "0"]}
PEER_FLAGS = ("-fa 0", "-fa 1", "-fa 0 --repack 0", "-fa 1 --repack 0")


def peers_of(options):
    """[(name in the table, llama-bench, flags)]."""
    builds = [build.partition("=") for build in options.llama]
    return [(f"{name} {flags}", program, flags) for name, _, program in builds
            for flags in PEER_FLAGS]


def run_json(command):
    """What the command prints, and its exit code."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        return None, result.returncode
    return json.loads(result.stdout), 0


class Samples:
    """What the runs gave, by (program, test, threads)."""

    def __init__(self):
        self.speeds = {}     # -> [tokens/s], one for each pair
        self.bytes = {}      # -> bytes read per token
        self.ended = {}      # -> exit code of a run that gave nothing
        self.bandwidth = {}  # threads -> [GB/s]

    def mortar(self, options, test, threads):
        key = ("mortar", test, threads)
        command = [options.mortar, "bench", "--json", "-m", options.model, "-t", str(threads),
                   "-r", str(options.repetitions)] + TESTS[test]
        rows, code = run_json(command)
        if code != 0:
            sys.exit(f"error: {' '.join(command)} ended with {code}")
        self.speeds.setdefault(key, []).append(rows[0]["tok_s"])
        self.bytes[key] = rows[0]["gb_s"] * 1e9 / rows[0]["tok_s"]
        self.bandwidth.setdefault(threads, []).append(rows[0]["bandwidth_gb_s"])

    def llama(self, options, peer, test, threads):
        name, program, flags = peer
        key = (name, test, threads)
        if key in self.ended:
            return
        rows, code = run_json([program, "-o", "json", "-m", options.model, "-t",
                               str(threads), "-r", str(options.repetitions)] + flags.split() +
                              TESTS[test])
        if code != 0:
            self.ended[key] = code
            self.speeds.pop(key, None)
            return
        self.speeds.setdefault(key, []).append(rows[0]["avg_ts"])
        # A decode step reads every weight once; prefill reads them once per 512 tokens.
        self.bytes[key] = rows[0]["model_size"] / (rows[0]["n_prompt"] or 1)


def measure(options, threads_list):
    samples = Samples()
    for pair in range(options.pairs):
        for threads in threads_list:
            print(f"pair {pair + 1} of {options.pairs}, {threads} threads", file=sys.stderr)
            for test in TESTS:
                samples.mortar(options, test, threads)
                for peer in peers_of(options):
                    samples.llama(options, peer, test, threads)
    return samples


def cell(values):
    return (f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})")


def rows_of(samples, peers, test, threads):
    """mortar, then each setting of llama.cpp."""
    ran = [p for p in peers if (p, test, threads) in samples.speeds]
    if not ran:
        sys.exit(f"error: no setting of llama.cpp ran {test} with {threads} threads")
    best = max(ran, key=lambda p: statistics.median(samples.speeds[(p, test, threads)]))
    bandwidth = statistics.median(samples.bandwidth[threads])
    lines = []
    for program in ["mortar"] + peers:
        key = (program, test, threads)
        if key in samples.ended:
            lines.append(f"| {test} | {threads} | {program} | ended with {samples.ended[key]} "
                         "| | | |")
            continue
        speeds = samples.speeds[key]
        # Of each pair, then the median: what slowed a pair slowed both.
        ratio = statistics.median(a / b for a, b in
                                  zip(speeds, samples.speeds[(best, test, threads)]))
        gb_s = statistics.median(speeds) * samples.bytes[key] / 1e9
        mark = " (best)" if program == best else ""
        lines.append(f"| {test} | {threads} | {program}{mark} | {cell(speeds)} | {ratio:.2f} | "
                     f"{gb_s:.2f} | {100 * gb_s / bandwidth:.0f} % |")
    return lines


def table(samples, peers, threads_list):
    """Rows of Markdown: medians over the pairs, spread, ratio, bytes against the bound."""
    lines = ["| test | threads | program | tokens/s: median (least to most) | ratio | GB/s | "
             "of memory bandwidth |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for test in TESTS:
        for threads in threads_list:
            lines += rows_of(samples, peers, test, threads)
    return lines


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def version_of(command):
    result = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    return "; ".join(lines[:2]) or "unknown"


def report(options, samples, threads_list):
    bandwidth = ", ".join(f"{statistics.median(samples.bandwidth[t]):.1f} GB/s with {t} threads"
                          for t in threads_list)
    return [
        f"- machine: {cpu_name()}, {os.cpu_count()} CPUs, {platform.system()} "
        f"{platform.release()}",
        f"- memory reads, measured in the same runs: {bandwidth}",
        f"- model: {os.path.basename(options.model)}",
        f"- mortar: {version_of([options.mortar, 'version'])}; `mortar bench -t T "
        f"-r {options.repetitions}`",
        f"- llama.cpp: {version_of([peers_of(options)[0][1], '--version'])}, from "
        f"{options.llama_flags}; "
        f"`llama-bench -t T -r {options.repetitions}` with the flags in the table",
        f"- {options.pairs} pairs, the programs in alternation; ratio to llama.cpp's best "
        "setting, median over the pairs",
        "",
    ] + table(samples, [name for name, _, _ in peers_of(options)], threads_list)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    for name in ("mortar", "model", "llama_flags"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--llama", action="append", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, default=5, help="runs of each program (default 5)")
    parser.add_argument("--threads", default="2,1", help="thread counts (default 2,1)")
    parser.add_argument("--repetitions", type=int, default=2,
                        help="measured repeats inside one run (default 2)")
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("--pairs: at least 1")
    threads_list = [int(t) for t in options.threads.split(",")]

    lines = report(options, measure(options, threads_list), threads_list)
    print("\n".join(lines))
    if options.write:
        with open("docs/benchmarks.md", "w", encoding="utf-8") as file:
            file.write("# Benchmarks\n\nWritten by `./dev bench --write` on "
                       f"{time.strftime('%Y-%m-%d')}. Decode is bound by memory, prefill by "
                       "int8 arithmetic:\nthe last columns say how near each is to the first "
                       "bound.\n\n" + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
