"""A program that may have so much memory and no more: in a control group of its own, version 2 or
1, whose limit counts the pages of files that it reads. Needs root.
"""
import collections
import contextlib
import os
import subprocess
import sys
import time

ROOT = "/sys/fs/cgroup"
LOOK_INTERVAL = 0.05  # seconds between two looks at what it has
# Of each version: where groups are, the limit, swap's, the most that was used, what is the
# program's own, and who was killed for want of memory.
V2 = {"under": ROOT, "limit": "memory.max", "swap": "memory.swap.max", "peak": "memory.peak",
      "used": "memory.current", "own": "anon", "events": "memory.events"}
V1 = {"under": f"{ROOT}/memory", "limit": "memory.limit_in_bytes", "swap": None,
      "peak": "memory.max_usage_in_bytes", "used": "memory.usage_in_bytes", "own": "rss",
      "events": "memory.oom_control"}


class NoLimits(Exception):
    """This machine lets nobody limit memory, or not this user."""


class Outcome(collections.namedtuple("Outcome", "code out err peak resident killed seconds")):
    """Of a program; memory in bytes. `code` is None where it did not end in time."""

    def describe(self):
        if self.code is None:
            return f"no end within {self.seconds} s"
        if self.killed:
            return "killed for want of memory"
        last = (self.err.strip().splitlines() or [""])[-1]
        return "runs" if self.code == 0 else f"ends with {self.code}: {last[:120]}"


def read(group, name):
    with open(os.path.join(group, name), encoding="utf-8") as file:
        return file.read()


def field(group, name, key):
    """A number from a file of lines `key number`; 0 where there is none."""
    for line in read(group, name).splitlines():
        words = line.split()
        if words[0] == key:
            return int(words[1])
    return 0


def version():
    try:
        if "memory" in read(ROOT, "cgroup.controllers").split():
            return V2
    except OSError:
        pass
    if os.path.exists(os.path.join(V1["under"], V1["limit"])):
        return V1
    raise NoLimits(f"no control group for memory under {ROOT}")


@contextlib.contextmanager
def limited_group(files, limit):
    group = os.path.join(files["under"], f"mortar-bench-{os.getpid()}")
    try:
        os.mkdir(group)
    except OSError as error:
        raise NoLimits(f"{group}: {error.strerror}; it takes root") from None
    try:
        write(group, files["limit"], limit)
        if files["swap"] and os.path.exists(os.path.join(group, files["swap"])):
            write(group, files["swap"], 0)
        yield group
    finally:
        remove(group)


def write(group, name, value):
    with open(os.path.join(group, name), "w", encoding="utf-8") as file:
        file.write(str(value))


def remove(group):
    """The kernel still has a killed program for a moment. A group that stays is said and no more:
    whatever went wrong before counts."""
    for _ in range(100):
        try:
            return os.rmdir(group)
        except OSError:
            time.sleep(0.05)
    print(f"warning: {group} could not be removed: somebody is in it", file=sys.stderr)


def forget_pages(path):
    """What is read of a file is charged to whoever reads it first: so nobody has read it."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run_limited(command, limit, seconds):
    """Runs it with `limit` bytes, for so many seconds at most."""
    files = version()
    with limited_group(files, limit) as group:
        enter = 'echo $$ >"$0" && exec "$@"'
        process = subprocess.Popen(
            ["sh", "-c", enter, os.path.join(group, "cgroup.procs")] + command,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        resident, used = 0, 0
        deadline = time.monotonic() + seconds
        # Both of its outputs are short, and read when it has ended.
        while process.poll() is None and time.monotonic() < deadline:
            resident = max(resident, field(group, "memory.stat", files["own"]))
            used = max(used, int(read(group, files["used"])))
            time.sleep(LOOK_INTERVAL)
        in_time = process.poll() is not None
        if not in_time:
            process.kill()
        out, err = process.communicate()
        if os.path.exists(os.path.join(group, files["peak"])):
            used = int(read(group, files["peak"]))
        return Outcome(process.returncode if in_time else None, out, err, used, resident,
                       field(group, files["events"], "oom_kill"), seconds)
