"""A cluster of Mortar, and a server of llama.cpp, behind emulated links on loopback.

Every pair of nodes that stand apart has a link of its own, which takes half of the round trip each
way; coordinator and relay stand with worker A. A worker is dialled where its link listens.
"""
import contextlib
import json
import os
import re
import socket
import subprocess
import time

START_MAX = 30  # seconds until a program has said that it is there
LOAD_MAX = 180  # until it has read its layers: gigabytes, from whatever disk
ANSWER_MAX = 300  # seconds for one answer or one run of llama-bench, which loads over the link
DIAL_INTERVAL = 0.05


class Failed(Exception):
    """A program that did not start, or gave no figures."""


def run(command, seconds=ANSWER_MAX):
    """What the command prints on stdout."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failed(f"{os.path.basename(command[0])}: no end after {seconds} s") from None
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or [""])[-1]
        raise Failed(f"{os.path.basename(command[0])} ended with {result.returncode}: "
                     f"{last[:200]}")
    return result.stdout


def free_port():
    """A port that nobody has at this moment: who advertises a link must know where it will listen
    before it does."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def program(command, folder, name, expected):
    """A program that goes on until the end of the `with`; yields what `expected` found in what it
    says."""
    path = os.path.join(folder, f"{name}.log")
    with open(path, "w", encoding="utf-8") as log:
        # A link ends with its standard input, also when this program is killed.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log,
                                   stderr=subprocess.STDOUT)
    try:
        yield wait_for(process, path, name, expected)
    finally:
        end(process)


def end(process):
    process.stdin.close()
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_log(folder, name, expected, seconds):
    """Returns when a program has said it; that it ended is noticed by whoever uses it."""
    deadline = time.monotonic() + seconds
    text = ""
    while time.monotonic() < deadline:
        with open(os.path.join(folder, f"{name}.log"), encoding="utf-8", errors="replace") as log:
            text = log.read()
        if re.search(expected, text, re.MULTILINE):
            return
        time.sleep(0.02)
    raise Failed(f"{name} did not say '{expected}' within {seconds} s: {text.strip()[-200:]}")


def wait_for(process, path, name, expected):
    deadline = time.monotonic() + START_MAX
    while time.monotonic() < deadline:
        with open(path, encoding="utf-8", errors="replace") as log:
            text = log.read()
        found = re.search(expected, text)
        if found:
            return found
        if process.poll() is not None:
            raise Failed(f"{name} ended with {process.returncode}: {text.strip()[-200:]}")
        time.sleep(0.02)
    raise Failed(f"{name} did not say '{expected}' within {START_MAX} s: {text.strip()[-200:]}")


class Keys:
    """Key files of all nodes in a folder, and the list of who may dial."""

    def __init__(self, mortar, folder):
        self.folder = folder
        self.allowed = os.path.join(folder, "allowed")
        for name, role in (("coordinator", None), ("a", "worker"), ("b", "worker"),
                           ("edge", "edge")):
            public = run([mortar, "keys", "new", "--keys", self.file(name)]).strip()
            if role is None:
                self.coordinator = public
            else:
                run([mortar, "keys", "allow", public, "--role", role, "--allow-list",
                     self.allowed])

    def file(self, name):
        return os.path.join(self.folder, f"{name}.key")

    def listens(self, name):
        return ["--keys", self.file(name), "--allow-list", self.allowed]

    def dials(self):
        return ["--server-key", self.coordinator]


class Network:
    """Starts what a measurement needs: with `link`, (round trip in ms, Mbit/s), between nodes, or
    None: loopback as it is."""

    def __init__(self, options, folder, link, model=None, threads=None):
        self.options = options
        self.folder = folder
        self.link = link
        self.model = model or options.model
        self.threads = str(threads or options.threads)
        self.keys = Keys(options.mortar, folder)

    def far(self, stack, target, name):
        """Where `target` is dialled from elsewhere."""
        if self.link is None:
            return target
        rtt, rate = self.link
        found = stack.enter_context(program(
            [self.options.link_proxy, "--target", target, "--delay-ms", str(rtt / 2),
             "--mbit-s", str(rate)], self.folder, f"link-to-{name}",
            r"link at (tcp://\S+)"))
        return found.group(1)

    def worker(self, stack, name, coordinator, flags):
        here = f"tcp://127.0.0.1:{free_port()}"
        stack.enter_context(program(
            [self.options.mortar, "worker", "--name", name, "--coordinator", coordinator,
             "--listen", here, "--advertise", self.far(stack, here, name), "-m", self.model, "-t",
             self.threads] + list(flags)
            + self.keys.listens(name) + self.keys.dials(),
            self.folder, name, r"joined the coordinator"))

    @contextlib.contextmanager
    def cluster(self, workers, worker_flags=("-c", "2048"), coordinator_flags=()):
        """Yields the flags of an edge that is far from all of them."""
        with contextlib.ExitStack() as stack:
            found = stack.enter_context(program(
                [self.options.mortar, "coordinator", "--listen", "tcp://127.0.0.1:0",
                 "--workers", str(workers), "--place", "even"] + list(coordinator_flags)
                + self.keys.listens("coordinator"),
                self.folder, "coordinator", r"coordinator at (tcp://[^\s,]+)"))
            coordinator = found.group(1)
            far = self.far(stack, coordinator, "coordinator")
            for name in ["a", "b"][:workers]:
                self.worker(stack, name, coordinator if name == "a" else far, worker_flags)
            yield (["--coordinator", far, "--keys", self.keys.file("edge")] + self.keys.dials())

    def edge_command(self, edge, tokens, flags):
        return ([self.options.mortar, "edge", "-m", self.model, "-t", self.threads, "--front", "1",
                 "--back", "1", "--raw", "--json", "-n", str(tokens), "--temp", "0"] + edge
                + list(flags))

    def answer(self, edge, prompt, tokens, flags=()):
        """What the edge says of one answer; a prompt of None is in the flags."""
        text = [] if prompt is None else ["-p", prompt]
        return json.loads(run(self.edge_command(edge, tokens, text + list(flags))))

    def load(self, edge, flags):
        """Returns when the workers have their layers, which they are told with the first route: of
        a large model that may take longer than an edge waits."""
        deadline = time.monotonic() + LOAD_MAX
        while True:
            try:
                return self.answer(edge, None, 1, flags)
            except Failed:
                if time.monotonic() > deadline:
                    raise

    def sessions(self, edges, wanted, flags=()):
        """Runs one edge for each of `edges`, with the sessions [(prompt file, tokens, after how
        many tokens of the first)] of each, all at once. Returns what each session of each says."""
        with contextlib.ExitStack() as stack:
            started = [self.start_sessions(stack, at, edge, one, flags)
                       for at, (edge, one) in enumerate(zip(edges, wanted))]
            for at in range(len(started)):
                wait_for_log(self.folder, f"sessions-{at}", r"^ready$", LOAD_MAX)
            for process, _ in started:
                process.stdin.write(b"go\n")
                process.stdin.flush()
            return [self.take_sessions(process, at, path)
                    for at, (process, path) in enumerate(started)]

    def start_sessions(self, stack, at, edge, wanted, flags):
        path = os.path.join(self.folder, f"sessions-{at}.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{prompt} {tokens} {after}\n" for prompt, tokens, after in wanted)
        out = os.path.join(self.folder, f"sessions-{at}.json")
        with open(out, "wb") as result, open(
                os.path.join(self.folder, f"sessions-{at}.log"), "wb") as log:
            process = subprocess.Popen(
                [self.options.edge_sessions, path, "edge", "-m", self.model, "-t", self.threads,
                 "--front", "1", "--back", "1"] + edge + list(flags),
                stdin=subprocess.PIPE, stdout=result, stderr=log)
        stack.callback(end, process)
        return process, out

    def take_sessions(self, process, at, path):
        try:
            code = process.wait(ANSWER_MAX)
        except subprocess.TimeoutExpired:
            raise Failed(f"edge_sessions: no end after {ANSWER_MAX} s") from None
        if code != 0:
            with open(os.path.join(self.folder, f"sessions-{at}.log"), encoding="utf-8") as log:
                raise Failed(f"edge_sessions ended with {code}: {log.read().strip()[-200:]}")
        with open(path, encoding="utf-8") as result:
            return json.load(result)["sessions"]

    def llama(self, flags, tokens):
        """Tokens/s of llama.cpp with a server at the link's other end."""
        port = free_port()
        with contextlib.ExitStack() as stack:
            stack.enter_context(program(
                [os.path.join(self.options.llama, "ggml-rpc-server"), "-p", str(port), "-t",
                 str(self.options.threads)], self.folder, "ggml-rpc-server", ""))
            wait_until_dialled(port)  # into a file it says nothing until its end
            far = self.far(stack, f"tcp://127.0.0.1:{port}", "ggml-rpc-server")
            rows = json.loads(run(
                [os.path.join(self.options.llama, "llama-bench"), "-m", self.options.model,
                 "--rpc", far.removeprefix("tcp://"), "-t", str(self.options.threads), "-p", "0",
                 "-n", str(tokens), "-r", "1", "-o", "json"] + flags.split()))
        if "RPC" not in rows[0]["backends"]:
            raise Failed(f"llama-bench used {rows[0]['backends']}")
        return rows[0]["avg_ts"]


def wait_until_dialled(port):
    """Returns when somebody listens; the server serves one connection after the other."""
    deadline = time.monotonic() + START_MAX
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(DIAL_INTERVAL)
    raise Failed(f"nobody listens at port {port} after {START_MAX} s")
