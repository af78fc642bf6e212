#!/usr/bin/env python3
"""Writes engine/text/decomposition_table.cc, compatibility_*.cc and character_tables.cc from
Python's unicodedata.

    tools/make_unicode_tables.py

The tables name the version of Unicode that they are of. Characters that a later version adds are
in none of them.
"""
import pathlib
import sys
import unicodedata

TEXT = pathlib.Path(__file__).resolve().parent.parent / "engine/text"
ALL = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF]


def head(name):
    return (f"// Made by tools/make_unicode_tables.py from Unicode {unicodedata.unidata_version}.\n"
            f'#include "engine/text/{name}.h"\n\nnamespace mortar {{\n\n'
            "// clang-format off: columns would be many pages\n")


def rows(entries):
    """As many entries to a line as fit."""
    line, out = "", ""
    for entry in entries:
        if len(line) + len(entry) > 100:
            out, line = out + line + "\n", ""
        line += entry
    return out + line + "\n"


def array(kind, name, entries):
    return (f"const {kind} {name}[] = {{\n{rows(entries)}}};\n"
            f"const size_t {name}Size = {sum(entry.startswith('{') for entry in entries)};\n")


def decompositions():
    for c in ALL:
        parts = unicodedata.decomposition(chr(c))
        if not parts or parts.startswith("<"):
            continue
        written = [f"0x{int(part, 16):x}" for part in parts.split()]
        if len(written) == 2 and unicodedata.normalize("NFC", chr(c)) != chr(c):
            written.append("false")
        yield f"{{0x{c:x},{','.join(written)}}},"


def ranges(of):
    """Maximal ranges of characters for which `of` has one value that is not None."""
    out = []
    for c in ALL:
        value = of(c)
        if value is None:
            continue
        if out and out[-1][1] == c - 1 and out[-1][2] == value:
            out[-1][1] = c
        else:
            out.append([c, c, value])
    return out


def category(*wanted):
    return lambda c: 0 if unicodedata.category(chr(c)).startswith(wanted) else None


def lower(c):
    small = chr(c).lower()
    return ord(small) - c if len(small) == 1 and small != chr(c) else None


def stepped_ranges(offset_of):
    """[first, last, step, offset]: the characters first, first + step, ... to last."""
    out = []
    for c in ALL:
        offset = offset_of(c)
        if offset is None:
            continue
        if out and out[-1][3] == offset:
            first, last, step, _ = out[-1]
            if first == last and c - last <= 2 or c - last == step:
                out[-1][1:3] = [c, c - last]
                continue
        out.append([c, c, 1, offset])
    return out


def compatible(c):
    """The full compatibility decomposition where it is another than the canonical one."""
    text = unicodedata.normalize("NFKD", chr(c))
    return text if text != unicodedata.normalize("NFD", chr(c)) else None


def compatible_offset(c):
    text = compatible(c)
    return ord(text) - c if text is not None and len(text) == 1 else None


def compatible_texts():
    for c in ALL:
        text = compatible(c)
        if text is not None and len(text) > 1:
            written = [f"0x{ord(part):x}," for part in text]
            yield f"{{0x{c:x},{{" + "".join(written[:9])
            yield "".join(written[9:]) + "}},"


def main():
    (TEXT / "decomposition_table.cc").write_text(
        head("decomposition_table")
        + array("Decomposition", "kDecompositions", list(decompositions()))
        + "// clang-format on\n\n}  // namespace mortar\n")

    for name, content in (
            ("compatibility_ranges",
             array("CompatibleRange", "kCompatibleRanges",
                   [f"{{0x{a:x},0x{b:x},{s},{o}}}," for a, b, s, o
                    in stepped_ranges(compatible_offset)])),
            ("compatibility_texts",
             array("CompatibleText", "kCompatibleTexts", list(compatible_texts())))):
        (TEXT / f"{name}.cc").write_text(
            head("compatibility_tables") + content
            + "// clang-format on\n\n}  // namespace mortar\n")

    combining = ranges(lambda c: unicodedata.combining(chr(c)) or None)
    body = array("CombiningRange", "kCombining",
                 [f"{{0x{a:x},0x{b:x},{v}}}," for a, b, v in combining])
    for name, wanted in (("kMarks", ("Mn",)), ("kPunctuation", ("P",)),
                         ("kOther", ("Cc", "Cf", "Co"))):
        body += "\n" + array("CharacterRange", name,
                             [f"{{0x{a:x},0x{b:x}}}," for a, b, _ in ranges(category(*wanted))])
    body += "\n" + array("LowerRange", "kLower",
                         [f"{{0x{a:x},0x{b:x},{s},{o}}}," for a, b, s, o in stepped_ranges(lower)])
    (TEXT / "character_tables.cc").write_text(
        head("character_tables") + body + "// clang-format on\n\n}  // namespace mortar\n")


if __name__ == "__main__":
    main()
