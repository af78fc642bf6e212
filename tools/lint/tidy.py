"""clang-tidy over the compile database, with its clean results kept by content.

Not over tests/: what it would find there is caught by the compiler's warnings and the
tests' own runs, and they are half of the time.

A file is looked at again when it, a header of ours that it includes, its compile command,
.clang-tidy or clang-tidy itself changed. Only clean results are kept. Files are looked at
several together (grouping.py); a group with any finding is looked at again file by file, and
only that counts.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import tempfile

import grouping

CLANG_TIDY = "clang-tidy-19"
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "mortar", "lint")


class Tidy:
    def __init__(self, root, build):
        with open(os.path.join(root, build, "compile_commands.json"), encoding="utf-8") as file:
            entries = json.load(file)
        self.root = root
        self.commands = {os.path.relpath(e["file"], root): e["command"] for e in entries}
        version = subprocess.run([CLANG_TIDY, "--version"], check=True, capture_output=True)
        with open(os.path.join(root, ".clang-tidy"), "rb") as file:
            self.common = hashlib.sha256(version.stdout + file.read()).digest()
        self.scratch = os.path.join(root, build)
        self.texts = {}  # path -> (bytes, included paths)

    def _read(self, path):
        if path not in self.texts:
            with open(os.path.join(self.root, path), "rb") as file:
                content = file.read()
            names = _INCLUDE.findall(content.decode("utf-8", "replace"))
            self.texts[path] = (content, [n for n in names
                                          if os.path.exists(os.path.join(self.root, n))])
        return self.texts[path]

    def key(self, path):
        """Digest of all that decides what clang-tidy says about `path`."""
        seen, waiting = set(), [path]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(self._read(name)[1])
        digest = hashlib.sha256(self.common)
        # The command without the checkout's place, so that clones share results.
        digest.update(self.commands[path].replace(self.root, "").encode())
        for name in sorted(seen):
            digest.update(name.encode() + b"\0" + hashlib.sha256(self._read(name)[0]).digest())
        return digest.hexdigest()

    def flags(self, path):
        """What the compile command says about the language, without its files and outputs."""
        words = shlex.split(self.commands[path])
        while not words[0].startswith("-"):  # a launcher with its settings, and the compiler
            words.pop(0)
        kept = []  # of what is for g++, not a header that only g++ has compiled
        while words:
            word = words.pop(0)
            if word in ("-o", "-include"):
                words.pop(0)
            elif word not in ("-c", "-Winvalid-pch") and not word.endswith(path):
                kept.append(word)
        return tuple(kept) + ("-Wno-unknown-warning-option",
                              "-Wno-ignored-optimization-argument", "-Wno-error")

    def _look(self, paths):
        """Returns whether clang-tidy finds nothing in `paths`, read as one, and what it said."""
        with tempfile.NamedTemporaryFile("w", suffix=".cc", dir=self.scratch) as together:
            together.writelines(f'#include "{path}"\n' for path in paths)
            together.flush()
            result = subprocess.run(
                [CLANG_TIDY, "--quiet", "--warnings-as-errors=*", "--config-file=.clang-tidy",
                 paths[0] if len(paths) == 1 else together.name, "--", *self.flags(paths[0])],
                cwd=self.root, capture_output=True, text=True)
        return result.returncode == 0, result.stdout if result.stdout else result.stderr

    def _look_at_all(self, groups):
        """Yields (path, clean, output) of every file, as soon as it is known."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            singles = []
            for paths, (clean, output) in zip(groups, pool.map(self._look, groups)):
                if clean or len(paths) == 1:
                    yield from ((path, clean, output) for path in paths)
                else:
                    singles += [[path] for path in paths]
            for paths, (clean, output) in zip(singles, pool.map(self._look, singles)):
                yield paths[0], clean, output

    def run(self, paths, report):
        """Looks at `paths` on all cores; calls report(path, text) for each finding's output.
        Returns how many files were looked at anew."""
        os.makedirs(cache_folder(), exist_ok=True)
        marks = {p: os.path.join(cache_folder(), self.key(p)) for p in paths}
        stale = [p for p in paths if not os.path.exists(marks[p])]
        files = [(p, self.flags(p), self._read(p)[0].decode("utf-8", "replace")) for p in stale]
        for path, clean, output in self._look_at_all(grouping.groups(files)):
            if clean:
                with open(marks[path], "w", encoding="utf-8"):
                    pass
            else:
                report(path, output)
        return len(stale)
