"""The rules that no other tool has: each takes a path and its text and yields (line, message).

Arrows between folders and the homes of third-party headers are held by tests/structure.
"""
import re

import source

LINES_OF_FILE_MAX = 450
LINES_OF_FUNCTION_MAX = 70
COLUMNS_MAX = 100
# Text made for machines, stored as it came, is not held to the width of a page.
STORED = ("tests/data/", "tests/golden/data/", "tests/fuzz/corpus/")

CPP = (".h", ".cc", ".cpp", ".inc")
SCRIPT = (".py", ".sh")

# glibc picks these by CPU, so their bits differ between machines (docs/numerics.md, rule 1).
# sqrt, fma, rint, floor and their like are exact and stay allowed.
_LIBM = re.compile(
    r"(?<![\w.>])(?:std::)?((?:sin|cos|tan|asin|acos|atan|atan2|sincos|sinh|cosh|tanh|asinh|acosh"
    r"|atanh|exp|exp2|exp10|expm1|log|log2|log10|log1p|pow|cbrt|hypot|erf|erfc|tgamma|lgamma)"
    r"[fl]?)\s*\(")
# A declared name in camelCase; words that may stand where a type stands are no types.
_CAMEL = re.compile(r"(?<![\w.])(?!return\b|else\b|case\b|goto\b|new\b|throw\b)[A-Za-z_][\w:]*"
                    r"[&*>]*[ ]+(?!k[A-Z])([a-z][a-z0-9_]*[A-Z]\w*)\s*[,;)=({\[]")
_UNFINISHED = re.compile(r"\b(?:FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")  # not itself a hit
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def is_stored(path):
    return path.startswith(STORED)


def check_text(path, text):
    """Every text file: characters, width, length, words left behind."""
    lines = text.split("\n")
    code_like = path.endswith(CPP + SCRIPT) or path in ("dev", ".ci/run")
    for number, line in enumerate(lines, 1):
        if hit := _CONTROL.search(line):
            yield number, f"control character U+{ord(hit.group(0)):04X}"
        if hit := _UNFINISHED.search(line):
            yield number, f"'{hit.group(0)}' left behind; finish it or write down why not"
        if code_like and len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns, at most {COLUMNS_MAX}"
        if line != line.rstrip() and not path.endswith(".md"):
            yield number, "blanks at the end of the line"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end of the file"
    count = text.count("\n")
    if code_like and count > LINES_OF_FILE_MAX:
        yield count, f"{count} lines, at most {LINES_OF_FILE_MAX}: make it two files"


def check_cpp(path, text):
    """C++ files: shape of headers, length of functions, string_view, libm."""
    code = source.code_only(text)
    if path.endswith(".h"):
        if not re.search(r"^#pragma once$", code, re.MULTILINE):
            yield 1, "a header needs #pragma once"
        yield from _hits(code, re.compile(r"\babsl::string_view\b"),
                         "absl::string_view in a header: Debian's is a type of its own, use "
                         "std::string_view and convert in the .cc")
    if path.startswith(("engine/", "edge/", "worker/")):
        yield from _hits(code, _LIBM, "libm's {} differs between CPUs: use engine/kernels' own")
    yield from _hits(code, _CAMEL, "'{}': variables are named like_this, functions LikeThis")
    for first, last in source.functions(code):
        if last - first + 1 > LINES_OF_FUNCTION_MAX:
            yield first, f"function of {last - first + 1} lines, at most {LINES_OF_FUNCTION_MAX}"


def _hits(code, pattern, message):
    for hit in pattern.finditer(code):
        name = hit.group(1) if hit.groups() else ""
        yield code.count("\n", 0, hit.start()) + 1, message.format(name)


def check(path, text):
    """All findings of one file."""
    if is_stored(path):
        return
    yield from check_text(path, text)
    if path.endswith(CPP):
        yield from check_cpp(path, text)
