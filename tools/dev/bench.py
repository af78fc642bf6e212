"""Decode and prefill speed of `mortar bench` beside llama.cpp's, in alternation on one machine.

usage: bench.py MORTAR LLAMA_BENCH MODEL LLAMA_FLAGS [--pairs N] [--threads T,T] [--write]

A pair is one run of each program, so that a machine that slows down slows both. llama.cpp is
measured with and without flash attention, and its better median counts.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

TESTS = ("tg128", "pp512")
FLASH = ("0", "1")


def run_json(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"error: {' '.join(command)} ended with {result.returncode}:\n{result.stderr}")
    return json.loads(result.stdout)


class Samples:
    """What the runs gave, by (program, test, threads): tokens/s; and GB/s factors."""

    def __init__(self):
        self.speeds = {}      # (program, test, threads) -> [tok/s], one per pair
        self.bytes = {}       # (program, test, threads) -> bytes read per token
        self.bandwidth = {}   # threads -> [GB/s]

    def add_mortar(self, rows, threads):
        for row in rows:
            key = ("mortar", row["test"], threads)
            self.speeds.setdefault(key, []).append(row["tok_s"])
            self.bytes[key] = row["gb_s"] * 1e9 / row["tok_s"]
        self.bandwidth.setdefault(threads, []).append(rows[0]["bandwidth_gb_s"])

    def add_llama(self, rows, threads, flash):
        for row in rows:
            n_prompt = row["n_prompt"]
            test = f"pp{n_prompt}" if n_prompt else f"tg{row['n_gen']}"
            key = (f"llama.cpp -fa {flash}", test, threads)
            self.speeds.setdefault(key, []).append(row["avg_ts"])
            # A decode step reads every weight once; prefill reads them once per 512 tokens.
            self.bytes[key] = row["model_size"] / (n_prompt or 1)


def measure(options, threads_list):
    samples = Samples()
    common = ["-p", "512", "-n", "128", "-r", str(options.repetitions)]
    for pair in range(options.pairs):
        for threads in threads_list:
            print(f"pair {pair + 1} of {options.pairs}, {threads} threads", file=sys.stderr)
            t = ["-t", str(threads)]
            samples.add_mortar(
                run_json([options.mortar, "bench", "--json", "-m", options.model] + common + t),
                threads)
            for flash in FLASH:
                samples.add_llama(
                    run_json([options.llama, "-o", "json", "-m", options.model, "-fa", flash] +
                             common + t), threads, flash)
    return samples


def cell(values):
    return (f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})")


def table(samples, threads_list):
    """Rows of Markdown: medians over the pairs, spread, ratio, bytes against the bound."""
    lines = ["| test | threads | program | tokens/s: median (least to most) | ratio | GB/s | "
             "of memory bandwidth |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for test in TESTS:
        for threads in threads_list:
            bandwidth = statistics.median(samples.bandwidth[threads])
            programs = [f"llama.cpp -fa {flash}" for flash in FLASH]
            best = max(programs,
                       key=lambda p: statistics.median(samples.speeds[(p, test, threads)]))
            peer = samples.speeds[(best, test, threads)]
            for program in ["mortar"] + programs:
                key = (program, test, threads)
                speeds = samples.speeds[key]
                # Of each pair, then the median: what slowed a pair slowed both.
                ratio = statistics.median(a / b for a, b in zip(speeds, peer))
                gb_s = statistics.median(speeds) * samples.bytes[key] / 1e9
                mark = " (best)" if program == best else ""
                lines.append(f"| {test} | {threads} | {program}{mark} | {cell(speeds)} | "
                             f"{ratio:.2f} | {gb_s:.2f} | {100 * gb_s / bandwidth:.0f} % |")
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
        f"- mortar: {version_of([options.mortar, 'version'])}; `mortar bench -p 512 -n 128 "
        f"-r {options.repetitions}`",
        f"- llama.cpp: {version_of([options.llama, '--version'])}, from {options.llama_flags}; "
        f"`llama-bench -p 512 -n 128 -r {options.repetitions} -fa 0|1`",
        f"- {options.pairs} pairs, the programs in alternation; ratio to llama.cpp's better "
        "setting, median over the pairs",
        "",
    ] + table(samples, threads_list)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    for name in ("mortar", "llama", "model", "llama_flags"):
        parser.add_argument(name, help=argparse.SUPPRESS)
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
