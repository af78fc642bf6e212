"""Decode and prefill speed of `mortar bench` beside llama.cpp's, in alternation on one machine.

usage: bench.py MORTAR LLAMA_FLAGS --model NAME=FILE... --llama NAME=FOLDER... [--ik FOLDER]
       [--tests T,T] [--threads T,T] [--pairs N] [--isa ISA] [--resume] [--write]

For each model, test and number of threads every setting of llama.cpp (its builds, with and without
flash attention, with and without weights repacked for the CPU) runs once; the best two then run in
pairs with mortar, so that a machine that slows down slows all. What is compared is the median of
the pairs' ratios to the better of the two. A setting that ends badly is named. With --ik a build
of ik_llama.cpp runs in the same pairs, by the best of its own settings.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import bench_table
from bench_table import IK

# Ten tokens of SmolLM2.
PROMPT = "The quick brown fox jumps over the lazy dog."
# What llama.cpp calls them. NAME: (arguments of mortar, program of llama.cpp, arguments of it)
TESTS = {
    "pp512": ("-p 512 -n 0", "llama-bench", "-p 512 -n 0"),
    "tg128": ("-p 0 -n 128", "llama-bench", "-p 0 -n 128"),
    "tg128@16": ("-p 0 -n 128 --batch 16", "llama-batched-bench",
                 "-npp 1 -ntg 128 -npl 16 -c 2304"),
    "pp4096": ("-p 4096 -n 0", "llama-bench", "-p 4096 -n 0"),
    "tg128@d4096": ("-p 0 -n 128 -d 4096", "llama-bench", "-p 0 -n 128 -d 4096"),
    # From the start of the program, with a file that is in memory already, to one token and the
    # end: programs per second.
    "first": ("--raw -n 1", "llama-completion", "-no-cnv -n 1 -c 512 --no-warmup"),
}
SETTINGS = ("-fa 0", "-fa 1", "-fa 0 --repack 0", "-fa 1 --repack 0")
SETTINGS_KEPT = 2  # after one run of each, which noise may have put in a wrong order
IK_SETTINGS = ("-fa 0", "-fa 1", "-fa 0 -rtr 1", "-fa 1 -rtr 1")  # rtr: repacked when loaded
IK_TESTS = ("pp512", "tg128", "pp4096")  # its llama-bench knows no depth, and batches differ


class Failed(Exception):
    """A program that gave no figures."""


def run(command):
    """What the command prints."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or [""])[-1]
        raise Failed(f"ended with {result.returncode}: {last[:120]}")
    return result.stdout


def per_second(command):
    """How often the command could run in a second."""
    begin = time.monotonic()
    run(command)
    return 1 / (time.monotonic() - begin)


def run_mortar(options, model, test, threads):
    """{tok_s, gb_s, bandwidth_gb_s}, the last two 0 where they say nothing."""
    if test == "first":
        command = [options.mortar, "run", "-m", model, "-t", str(threads), "--isa", options.isa,
                   "-p", PROMPT] + TESTS[test][0].split()
        return {"tok_s": per_second(command), "gb_s": 0, "bandwidth_gb_s": 0}
    command = [options.mortar, "bench", "--json", "-m", model, "-t", str(threads), "-r",
               str(options.repetitions), "--isa", options.isa] + TESTS[test][0].split()
    row = json.loads(run(command))[0]
    return {key: row[key] for key in ("tok_s", "gb_s", "bandwidth_gb_s")}


def run_llama(options, setting, model, test, threads):
    """Tokens/s of one setting: (folder of its programs, flags)."""
    folder, flags = setting
    _, program, arguments = TESTS[test]
    command = [os.path.join(folder, program), "-m", model, "-t", str(threads)]
    command += arguments.split()
    if program == "llama-bench":
        command += ["-o", "json", "-r", str(options.repetitions)] + flags.split()
        return json.loads(run(command))[0]["avg_ts"]
    # The same settings go by other names there.
    flags = flags.replace("-fa 0", "-fa off").replace("-fa 1", "-fa on")
    flags = flags.replace("--repack 0", "--no-repack")
    if test == "first":
        return per_second(command + ["-p", PROMPT] + flags.split())
    lines = run(command + ["--output-format", "jsonl"] + flags.split()).splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    if not rows:
        raise Failed("printed no figures")
    return rows[-1]["speed_tg"]


def settings_of(options):
    """{name in the table: (folder of its programs, flags)}."""
    builds = [build.partition("=") for build in options.llama]
    settings = {f"{name} {flags}": (folder, flags) for name, _, folder in builds
                for flags in SETTINGS}
    if options.ik:
        settings |= {f"{IK} {flags}": (options.ik, flags) for flags in IK_SETTINGS}
    return settings


def screen(options, model, test, threads):
    """Names of the settings that are worth pairs, and {name: tokens/s or why it gave none}."""
    seen = {}
    for name, setting in settings_of(options).items():
        if name.startswith(IK) and test not in IK_TESTS:
            continue
        try:
            seen[name] = run_llama(options, setting, model, test, threads)
        except Failed as failed:
            seen[name] = str(failed)
    ran = sorted((n for n in seen if not isinstance(seen[n], str)), key=lambda n: -seen[n])
    of_llama = [name for name in ran if not name.startswith(IK)]
    if not of_llama:
        raise Failed(f"no setting of llama.cpp ran {test}: {seen}")
    return of_llama[:SETTINGS_KEPT] + [name for name in ran if name.startswith(IK)][:1], seen


def measure(options, model, test, threads):
    """The figures of one model, test and number of threads."""
    kept, seen = screen(options, model, test, threads)
    settings = settings_of(options)
    record = {"mortar": [], "peers": {name: [] for name in kept}, "screened": seen}
    for pair in range(options.pairs):
        print(f"  pair {pair + 1} of {options.pairs}", file=sys.stderr)
        record["mortar"].append(run_mortar(options, model, test, threads))
        for name in list(record["peers"]):
            try:
                speed = run_llama(options, settings[name], model, test, threads)
                record["peers"][name].append(speed)
            except Failed as failed:
                seen[name] = str(failed)
                del record["peers"][name]
    if all(name.startswith(IK) for name in record["peers"]):
        raise Failed(f"no setting of llama.cpp ran {test} in all pairs: {seen}")
    return record


def is_wanted(options, name):
    return not options.models or any(part in name for part in options.models.split(","))


def measure_all(options):
    """[(model's name, test, threads, record)], kept in a file as they come."""
    results = {}
    identity = [os.path.getmtime(options.mortar), options.pairs, options.repetitions, options.isa,
                options.llama, options.llama_flags, options.ik]
    if options.resume and os.path.exists(options.results):
        with open(options.results, encoding="utf-8") as file:
            stored = json.load(file)
        if stored["identity"] == identity:
            results = stored["results"]
    models = [model.partition("=") for model in options.model]
    wanted = [(name, path) for name, _, path in models if is_wanted(options, name)]
    if not wanted:
        raise Failed(f"--models {options.models} is none of "
                     f"{', '.join(name for name, _, _ in models)}")
    for name, path in wanted:
        for test in options.tests.split(","):
            for threads in (int(t) for t in options.threads.split(",")):
                key = f"{name} {test} {threads}"
                if key not in results:
                    print(f"{name}, {test}, {threads} threads", file=sys.stderr)
                    results[key] = measure(options, path, test, threads)
                    os.makedirs(os.path.dirname(options.results), exist_ok=True)
                    with open(options.results, "w", encoding="utf-8") as file:
                        json.dump({"identity": identity, "results": results}, file, indent=1)
    return rows_of(results, [name for name, _, _ in models])


def rows_of(results, models):
    """[(model's name, test, threads, record)] of all that was measured, models in their order."""
    rows = []
    for key, record in results.items():
        name, test, threads = key.rsplit(" ", 2)
        if name in models and test in TESTS:
            rows.append((name, test, int(threads), record))
    tests = list(TESTS)
    return sorted(rows, key=lambda row: (models.index(row[0]), -row[2], tests.index(row[1])))


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench")
    for name in ("mortar", "llama_flags"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    for name in ("--model", "--llama"):
        parser.add_argument(name, action="append", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--results", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--ik", metavar="FOLDER",
                        help="programs of ik_llama.cpp, which then stand in the table too")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each program (default 5)")
    parser.add_argument("--models", help="only those whose name holds one of these, A,B")
    parser.add_argument("--threads", default="2,1", help="thread counts (default 2,1)")
    parser.add_argument("--tests", default="tg128,pp512",
                        help=f"of {','.join(TESTS)} (default tg128,pp512)")
    parser.add_argument("--isa", default="auto", help="mortar's kernels (default auto)")
    parser.add_argument("--repetitions", type=int, default=1,
                        help="measured repeats inside one run (default 1)")
    parser.add_argument("--resume", action="store_true",
                        help="keep, and show too, what earlier runs of the same programs measured")
    parser.add_argument("--write", action="store_true",
                        help="also write docs/benchmarks.md, or benchmarks-ISA.md")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("--pairs: at least 1")
    for test in options.tests.split(","):
        if test not in TESTS:
            parser.error(f"--tests: {test} is none of {', '.join(TESTS)}")
    return options


def main():
    options = parse()
    try:
        rows = measure_all(options)
    except Failed as failed:
        sys.exit(f"error: {failed}")
    first_build = options.llama[0].partition("=")[2]
    lines = bench_table.head(options, first_build) + bench_table.table(rows)
    print("\n".join(lines))
    if options.write:
        of_isa = "" if options.isa == "auto" else f"-{options.isa}"
        with open(f"docs/benchmarks{of_isa}.md", "w", encoding="utf-8") as file:
            file.write("# Benchmarks\n\nWritten by `./dev bench … --write` on "
                       f"{time.strftime('%Y-%m-%d')}.\n\n" + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
