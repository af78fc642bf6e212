"""Runs the tests of a build folder with CTest and counts cases, not programs.

usage: run_tests.py BUILD_FOLDER [--long] [--label LABEL] [FILTER]

FILTER selects test programs whose name holds it or, when there is none, GoogleTest cases whose
"Suite.Case" holds it. Tests labelled `long` run only with --long or when FILTER names them, those
labelled `quiet`, whose figures need a machine to themselves, only when FILTER names them, and the
golden tests walk through all of their data only with --long.

A GoogleTest program reports its cases in a file that it writes at its end. One that crashed or
ran out of time leaves none: then the cases that its output shows as passed count as passed, and
all others that it holds as failed. A program of another kind counts as one case.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

OUTPUT_BYTES_MAX = 1 << 20  # of one program, kept to show failures and count after a crash


def tests_of(build):
    """All CTest tests of the folder: {name: (command, labels)}."""
    shown = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"],
                           check=True, capture_output=True, text=True).stdout
    tests = {}
    for test in json.loads(shown)["tests"]:
        properties = {p["name"]: p["value"] for p in test["properties"]}
        tests[test["name"]] = (test.get("command", []), properties.get("LABELS", []))
    return tests


def cases_of(command, gtest_filter):
    """The names of the cases that a GoogleTest program would run."""
    listed = subprocess.run(command + ["--gtest_list_tests", f"--gtest_filter={gtest_filter}"],
                            capture_output=True, text=True, timeout=60).stdout
    suite, cases = "", []
    for line in listed.splitlines():
        name = line.split("#")[0].rstrip()
        if line.startswith("  "):
            cases.append(suite + name.strip())
        elif name.endswith("."):
            suite = name
    return [c for c in cases if not re.search(r"(^|[./])DISABLED_", c)]


def select(tests, options):
    """(names of programs to run, GoogleTest filter)."""
    wanted = {name: test for name, test in tests.items()
              if not options.label or options.label in test[1]}
    if options.filter:
        named = [name for name in wanted if options.filter in name]
        if named:
            return named, "*"
    allowed = [n for n, (_, labels) in wanted.items()
               if "quiet" not in labels and (options.long or "long" not in labels)]
    if not options.filter:
        return allowed, "*"
    gtest_filter = f"*{options.filter}*"
    return [n for n in allowed if "gtest" in wanted[n][1] and cases_of(wanted[n][0], gtest_filter)
            ], gtest_filter


def run(build, names, gtest_filter, reports, golden):
    """Runs the programs under CTest; returns {name: (passed?, output)}."""
    shutil.rmtree(reports, ignore_errors=True)
    os.makedirs(reports)
    summary = os.path.join(reports, "ctest.xml")
    pattern = "^(" + "|".join(re.escape(n) for n in names) + ")$"
    # A name with a slash at its end: each program writes a file named after itself.
    environment = dict(os.environ, GTEST_OUTPUT=f"json:{reports}/", GTEST_FILTER=gtest_filter,
                       GTEST_COLOR="no", GOLDEN_DATA=golden)
    # ZeroMQ and the rest of Debian are built without the thread sanitizer, which sees only half of
    # what they do. What the caller says comes later, and wins.
    environment["TSAN_OPTIONS"] = ":".join(
        ["ignore_noninstrumented_modules=1"] + [o for o in [os.environ.get("TSAN_OPTIONS")] if o])
    # A test says how many halves of a core it takes: cmake/MortarTargets.cmake.
    halves = 2 * (os.cpu_count() or 1)
    subprocess.run(["ctest", "--test-dir", build, "-R", pattern, "-j", str(halves),
                    "--output-on-failure", "--output-junit", summary,
                    "--test-output-size-passed", str(OUTPUT_BYTES_MAX),
                    "--test-output-size-failed", str(OUTPUT_BYTES_MAX)],
                   env=environment, check=False)
    results = {}
    for case in xml.etree.ElementTree.parse(summary).getroot().iter("testcase"):
        results[case.get("name")] = (case.get("status") == "run",
                                     case.findtext("system-out") or "")
    return results


def count_report(report):
    """(passed, failed, skipped) of a GoogleTest JSON report."""
    passed = failed = skipped = 0
    for suite in report["testsuites"]:
        for case in suite["testsuite"]:
            if case.get("failures"):
                failed += 1
            elif case.get("result") == "SKIPPED":
                skipped += 1
            elif case.get("status") == "RUN":
                passed += 1
    return passed, failed, skipped


def count_program(command, is_gtest, ended_well, output, reports, gtest_filter):
    """(passed, failed, skipped) of one program that ran."""
    if not is_gtest:
        return (1, 0, 0) if ended_well else (0, 1, 0)
    path = os.path.join(reports, os.path.basename(command[0]) + ".json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            passed, failed, skipped = count_report(json.load(file))
        # A program that reported no failure and still failed died after its last case.
        return passed, failed if ended_well or failed else 1, skipped
    passed = len(re.findall(r"^\[       OK \] ", output, re.MULTILINE))
    skipped = len(re.findall(r"^\[  SKIPPED \] .*\(\d+ ms\)$", output, re.MULTILINE))
    try:
        total = len(cases_of(command, gtest_filter))
    except subprocess.TimeoutExpired:
        total = 0
    return passed, max(total - passed - skipped, 1), skipped


def main():
    parser = argparse.ArgumentParser(prog="./dev test")
    parser.add_argument("build", help=argparse.SUPPRESS)
    parser.add_argument("--long", action="store_true",
                        help="the long tests too, and all golden data")
    parser.add_argument("--label", help="only tests with this label, e.g. unit")
    parser.add_argument("filter", nargs="?", help="part of a program's or a case's name")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    reports = os.path.join(build, "test-reports")

    tests = tests_of(build)
    names, gtest_filter = select(tests, options)
    if not names:
        print(f"error: no test program or case holds '{options.filter}'", file=sys.stderr)
        return 2
    golden = "whole" if options.long else "part"
    results = run(build, names, gtest_filter, reports, golden)
    passed = failed = skipped = 0
    for name in names:
        command, labels = tests[name]
        ended_well, output = results.get(name, (False, ""))
        p, f, s = count_program(command, "gtest" in labels, ended_well, output, reports,
                                gtest_filter)
        passed, failed, skipped = passed + p, failed + f, skipped + s
    if skipped:
        print(f"{skipped} skipped on this machine")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
