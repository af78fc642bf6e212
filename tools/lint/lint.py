"""Checks every tracked file; see CONTRIBUTING.md, section Style.

usage: lint.py [--format] [--no-tidy]

--format rewrites the C++ files instead. Exit 0: nothing found.
"""
import argparse
import os
import re
import subprocess
import sys

import house_rules
import tidy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLANG_FORMAT = "clang-format-19"


def tracked_files():
    """What git tracks or would track, and still exists."""
    # A checkout may belong to another user than the one who lints (containers, CI).
    listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached",
                             "--others", "--exclude-standard"],
                            cwd=ROOT, check=False, capture_output=True)
    if listed.returncode != 0:
        sys.exit("error: lint looks at the files that git knows, and this is no git checkout")
    names = sorted(set(os.fsdecode(n) for n in listed.stdout.split(b"\0") if n))
    return [n for n in names if os.path.isfile(os.path.join(ROOT, n))
            and not os.path.islink(os.path.join(ROOT, n))]


class Findings:
    """Prints what is found as it is found, and counts it."""

    def __init__(self):
        self.count = 0
        self.seen = set()

    def add(self, where, message):
        self.count += 1
        print(f"{where}: {message}")

    def add_once(self, where, message):
        if (where, message) not in self.seen:
            self.seen.add((where, message))
            self.add(where, message)

    def add_output(self, tool, output):
        self.count += 1
        print(f"{tool}:\n{output.rstrip()}")


def check_rules(files, findings):
    for path in files:
        with open(os.path.join(ROOT, path), "rb") as file:
            content = file.read()
        if house_rules.is_stored(path):
            continue
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            findings.add(path, f"not UTF-8 at byte {error.start} (stored data lives in "
                               f"{', '.join(house_rules.STORED)})")
            continue
        for line, message in house_rules.check(path, text):
            findings.add(f"{path}:{line}", message)


def check_tool(name, command, findings):
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        findings.add_output(name, result.stdout + result.stderr)


def check_format(cpp, findings):
    result = subprocess.run([CLANG_FORMAT, "--dry-run", "-Werror"] + cpp, cwd=ROOT,
                            capture_output=True, text=True)
    if result.returncode == 0:
        return
    places = re.findall(r"^(\S+):(\d+):\d+: error:", result.stderr, re.MULTILINE)
    first = {path: line for path, line in reversed(places)}
    for path in sorted(first):
        findings.add(f"{path}:{first[path]}", "not in the house format; ./dev format mends it")
    if not first:
        findings.add_output("clang-format", result.stderr)


def add_tidy(path, text, findings):
    """Each place once, however many files include its header."""
    places = re.findall(r"^(\S+?):(\d+):\d+: error: (.*)$", text, re.MULTILINE)
    for file, line, message in places:
        findings.add_once(f"{os.path.relpath(file, ROOT)}:{line}", message)
    if not places:
        findings.add_output(f"clang-tidy {path}", text)


def shell_files(files):
    """Files that name a shell in their first line; what they source is followed from there."""
    for path in files:
        with open(os.path.join(ROOT, path), "rb") as file:
            first = file.readline(80)
        if first.startswith(b"#!") and b"sh" in first.split(b"/")[-1]:
            yield path


def main():
    parser = argparse.ArgumentParser(prog="./dev lint")
    parser.add_argument("--format", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-tidy", action="store_true", help="all but clang-tidy (seconds)")
    options = parser.parse_args()

    files = tracked_files()
    cpp = [f for f in files if f.endswith(house_rules.CPP) and not house_rules.is_stored(f)]
    if options.format:
        return subprocess.run([CLANG_FORMAT, "-i"] + cpp, cwd=ROOT).returncode

    findings = Findings()
    check_rules(files, findings)
    check_format(cpp, findings)
    shell = list(shell_files(files))
    check_tool("shellcheck", ["shellcheck", "-x", "-a"] + shell, findings)
    looked = 0
    if not options.no_tidy:
        checker = tidy.Tidy(ROOT, "build")
        sources = [f for f in cpp if f in checker.commands and not f.startswith("tests/")]
        looked = checker.run(sources, lambda path, text: add_tidy(path, text, findings))
    print(f"lint: {len(files)} files, {len(cpp)} C++, {len(shell)} shell, clang-tidy looked at "
          f"{looked} anew: {findings.count} findings")
    return 1 if findings.count else 0


if __name__ == "__main__":
    sys.exit(main())
