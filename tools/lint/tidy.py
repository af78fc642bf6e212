"""clang-tidy over the compile database, with its clean results kept by content.

Not over tests/: what it would find there is caught by the compiler's warnings and the
tests' own runs, and they are half of the time.

A file is looked at again when it, a header of ours that it includes, its compile command,
.clang-tidy or clang-tidy itself changed. Only clean results are kept.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess

CLANG_TIDY = "clang-tidy-19"
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "mortar", "lint")


class Tidy:
    def __init__(self, root, build):
        with open(os.path.join(root, build, "compile_commands.json"), encoding="utf-8") as file:
            entries = json.load(file)
        self.root, self.build = root, build
        self.commands = {os.path.relpath(e["file"], root): e["command"] for e in entries}
        version = subprocess.run([CLANG_TIDY, "--version"], check=True, capture_output=True)
        with open(os.path.join(root, ".clang-tidy"), "rb") as file:
            self.common = hashlib.sha256(version.stdout + file.read()).digest()
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

    def _look(self, path):
        result = subprocess.run(
            [CLANG_TIDY, "-p", self.build, "--quiet", "--warnings-as-errors=*",
             # The database speaks to g++.
             "--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-error", path],
            cwd=self.root, capture_output=True, text=True)
        return result.returncode == 0, result.stdout if result.stdout else result.stderr

    def run(self, paths, report):
        """Looks at `paths` on all cores; calls report(path, text) for each finding's output.
        Returns how many files were looked at anew."""
        os.makedirs(cache_folder(), exist_ok=True)
        marks = {p: os.path.join(cache_folder(), self.key(p)) for p in paths}
        stale = [p for p in paths if not os.path.exists(marks[p])]
        # The largest first, so that the last core does not wait for one of them.
        stale.sort(key=lambda p: -len(self._read(p)[0]))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for path, (clean, output) in zip(stale, pool.map(self._look, stale)):
                if clean:
                    with open(marks[path], "w", encoding="utf-8"):
                        pass
                else:
                    report(path, output)
        return len(stale)
