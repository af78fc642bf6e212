"""What sessions on one link, many edges and a small edge get: each case one or more rows of a table
(network_table.py), measured against its bar. Tokens are those of one process in all of them.
"""
import json
import os
import random
import statistics
import tempfile

from memory_limit import forget_pages, run_limited
from network_cluster import Failed, Network, run
from network_table import Row

LINK = (30, 100)  # round trip in ms, Mbit/s
WIDE = "wide-q4_0"  # rows of 8 KiB and little to compute: the link is what is scarce
LLAMA_1B = "llama-3.2-1b-q4_0"
LLAMA_7B = "llama-2-7b-q4_0"
RUNS = 3

FIRST_TOKEN_PROMPT = 1000  # tokens, about
FIRST_TOKEN_FACTOR = 1.25  # of the slower of computing and transfer
LONG_PROMPT = 4000
DELAY_MAX = 50  # ms
DECODED = 1200  # tokens of the session beside the long prompt: more than come while that is read
UNDISTURBED = 40  # of them, before the prompt
EDGES, SESSIONS = 8, 4
AGGREGATE_MIN = 3.0  # times one session
SLOWEST_MIN = 0.5  # of the median session
ONE_PROCESS_MIN = 0.97
BATCH = 16
EDGE_MEMORY = 1_000_000_000  # bytes: the 1 GB of the bar
# What the edge's group may have: more than the bar, so that an edge that needs more shows it.
EDGE_LIMIT = EDGE_MEMORY * 105 // 100
PREDICTED_MIN = 0.9
EDGE_SECONDS = 120  # for sixteen tokens
LLAMA_SECONDS = 60  # for eight, in so much memory

WORDS = ("the sea was calm and a lamp burned in one house while men went out to look for what had "
         "been lost of old days when ships came home with salt wood iron bread rope").split()


def words(n, seed):
    """A text of about `n` tokens: each of these words is one."""
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(n))


def letters(n, seed):
    """The same for models whose tokens are bytes."""
    draw = random.Random(seed)
    return "".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n))


def gaps(times):
    return [after - before for before, after in zip(times, times[1:])]


def delays(decoding, prompt):
    """By how much tokens of a session were late while another's prompt was read: what lies between
    two tokens, beyond its median before the prompt came."""
    before = [t for t in decoding["at_ms"] if t < prompt["submitted_ms"]]
    first = prompt["at_ms"][0]
    if len(before) < UNDISTURBED or decoding["at_ms"][-1] < first:
        raise Failed("the decoding session does not stand on both sides of the prompt")
    usual = statistics.median(gaps(before[4:]))
    during = [t for t in decoding["at_ms"] if before[-1] <= t <= first]
    return [gap - usual for gap in gaps(during)]


def shares(sessions):
    """(tokens/s of all, those of each): while all of them decode, so that none is helped by the
    others' end."""
    begin = max(one["at_ms"][0] for one in sessions)
    end = min(one["at_ms"][-1] for one in sessions)
    if end <= begin:
        # A session had ended before another began: of those the whole time counts.
        begin = min(one["at_ms"][0] for one in sessions)
        end = max(one["at_ms"][-1] for one in sessions)
    counted = sum(1 for one in sessions for t in one["at_ms"] if begin < t <= end)
    each = [1000 * (len(one["at_ms"]) - 1) / (one["at_ms"][-1] - one["at_ms"][0])
            for one in sessions]
    return 1000 * counted / (end - begin), each


def memory_row(outcome):
    """Of an edge in a group that may have more than the bar: what the kernel would have pushed out
    there counts too."""
    return Row("small-edge", "most memory of the edge, with the pages of files that it read",
               f"{outcome.peak / 1e6:.0f} MB, {outcome.resident / 1e6:.0f} MB its own",
               "≤ 1000 MB", outcome.peak <= EDGE_MEMORY)


class Cases:
    """Each method named in CASES gives the rows of one case."""

    def __init__(self, options, folder, say):
        self.options = options
        self.folder = folder
        self.say = say
        self.alone = {}  # tokens of one process, by model, prompt and number

    # --- What cases share ---

    def model(self, name):
        """The file of a model with random weights, written where there is none."""
        if name is None:
            return self.options.model
        path = os.path.join(self.options.models, f"{name}.gguf")
        if not os.path.exists(path):
            self.say(f"writing {path}")
            os.makedirs(self.options.models, exist_ok=True)
            run([self.options.write_model, name, path + ".part"], 900)
            os.replace(path + ".part", path)
        return path

    def network(self, link, name=None, threads=1):
        return Network(self.options, tempfile.mkdtemp(dir=self.folder), link,
                       model=self.model(name), threads=threads)

    def prompt(self, text):
        with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
            file.write(text)
        return file.name

    def expected(self, name, prompt, n):
        """The tokens of one process."""
        key = (name, prompt, n)
        if key not in self.alone:
            answer = json.loads(run(
                [self.options.mortar, "run", "-m", self.model(name), "-t", str(os.cpu_count()),
                 "--front", "1", "--back", "1", "--raw", "--json", "-n", str(n), "--temp", "0",
                 "-f", prompt, "-c", "512" if name == LLAMA_7B else "4608"]))
            self.alone[key] = answer["tokens"]
        return self.alone[key]

    def check(self, name, prompt, tokens):
        expected = self.expected(name, prompt, len(tokens))
        # `run` ends where the model says so, these sessions go on.
        if not expected or tokens[:len(expected)] != expected:
            raise Failed(f"{name or 'SmolLM2'}: other tokens than one process gives")

    def sessions(self, network, edge, wanted, flags=()):
        """[(prompt file, tokens, after)] → what each session says."""
        (result,) = network.sessions([edge], [wanted], flags)
        return result

    # --- Cases ---

    def first_token(self):
        rows = []
        for name, text in ((None, words(FIRST_TOKEN_PROMPT, 1)),
                           (WIDE, letters(FIRST_TOKEN_PROMPT, 1))):
            prompt = self.prompt(text)
            measured = [self.one_first_token(name, prompt) for _ in range(RUNS)]
            ratio, text = sorted(measured)[RUNS // 2]
            rows.append(Row("first-token", f"{name or 'SmolLM2'}: first token of a prompt, over "
                            f"{FIRST_TOKEN_FACTOR} x max(compute, transfer) + 2 round trips",
                            f"{ratio:.2f} ({text})", "≤ 1", ratio <= 1))
        return rows

    def one_first_token(self, name, prompt):
        network = self.network(LINK, name)
        with network.cluster(1) as edge:
            answer = network.answer(edge, None, 1, ["-f", prompt])
        self.check(name, prompt, answer["tokens"])
        n = len(answer["prompt_tokens"])
        took = 1000 * n / answer["timings"]["prefill_tok_s"]
        hops = answer["wire"]["hops"]
        compute = max(hop["compute_ms"] for hop in hops)
        transfer = max(hop["bytes"] for hop in hops) * 8 / (1000 * LINK[1])
        bound = FIRST_TOKEN_FACTOR * max(compute, transfer) + 2 * LINK[0]
        text = f"{took:.0f} ms, {n} tokens, compute {compute:.0f}, transfer {transfer:.0f}"
        self.say(f"first-token {name or 'SmolLM2'}: {text}, bound {bound:.0f}")
        return took / bound, text

    def prefill_beside_decode(self):
        rows = []
        for name, flags in ((None, []), (WIDE, []), (WIDE, ["--no-direct"])):
            text = words(LONG_PROMPT, 2) if name is None else letters(LONG_PROMPT, 2)
            long, short = self.prompt(text), self.prompt("Once upon a time there was")
            worst, medians, n = [], [], 0
            for _ in range(RUNS):
                network = self.network(LINK, name)
                with network.cluster(1, ["-c", "4608", "-np", "2"]) as edge:
                    decoding, prompt = self.sessions(
                        network, edge, [(short, DECODED, 0), (long, 1, UNDISTURBED)],
                        ["-c", "4608"] + flags)
                self.check(name, short, decoding["tokens"])
                self.check(name, long, prompt["tokens"])
                late, n = delays(decoding, prompt), prompt["prompt_tokens"]
                worst.append(max(late))
                medians.append(statistics.median(late))
                seconds = (prompt["at_ms"][0] - prompt["submitted_ms"]) / 1000
                self.say(f"prefill-beside-decode {name or 'SmolLM2'} {' '.join(flags)}: {n} tokens "
                         f"in {seconds:.1f} s, {len(late)} tokens beside, delayed by "
                         f"{medians[-1]:.1f} ms, at most {worst[-1]:.1f}")
            most = statistics.median(worst)
            rows.append(Row("prefill-beside-decode",
                            f"{name or 'SmolLM2'}{', relayed' if flags else ''}: delay of a "
                            f"session's worst token by another's prompt of {n} tokens",
                            f"{most:.1f} ms (runs {min(worst):.1f} to {max(worst):.1f}; median "
                            f"token {statistics.median(medians):.1f})", f"≤ {DELAY_MAX} ms",
                            most <= DELAY_MAX))
        return rows

    def many_edges(self):
        prompts = [self.prompt(words(12, seed)) for seed in range(SESSIONS)]
        context = ["-c", "512"]
        network = self.network(LINK)
        with network.cluster(2, context + ["-np", str(EDGES * SESSIONS)]) as edge:
            (one,) = self.sessions(network, edge, [(prompts[0], 96, 0)], context)
            single, _ = shares([one])
            together = network.sessions([edge] * EDGES,
                                        [[(prompt, 96, 0) for prompt in prompts]] * EDGES, context)
        sessions = [session for edge_sessions in together for session in edge_sessions]
        for at, session in enumerate(sessions):
            self.check(None, prompts[at % SESSIONS], session["tokens"])
        total, each = shares(sessions)
        ratio, fair = total / single, min(each) / statistics.median(each)
        self.say(f"many-edges: one {single:.1f} tokens/s, all {total:.1f}; each {min(each):.1f} to "
                 f"{max(each):.1f}")
        return [Row("many-edges", f"{EDGES} edges with {SESSIONS} sessions each over two workers: "
                    "tokens/s over one session's", f"{ratio:.1f} ({total:.0f} over {single:.1f})",
                    f"≥ {AGGREGATE_MIN:g}", ratio >= AGGREGATE_MIN),
                Row("many-edges", "slowest session over the median one",
                    f"{fair:.2f} ({min(each):.1f} over {statistics.median(each):.1f})",
                    f"≥ {SLOWEST_MIN:g}", fair >= SLOWEST_MIN)]

    def one_process(self):
        rows = []
        for name, sessions, tokens in ((LLAMA_1B, 1, 32), (None, BATCH, 96), (LLAMA_1B, BATCH, 24)):
            prompt = self.prompt("Once upon a time there was a village" if name is None else "abc")
            pairs = []
            for _ in range(RUNS):
                alone = self.speed_alone(name, prompt, sessions, tokens)
                network = self.network(None, name)
                context = ["-c", "512"]
                with network.cluster(1, context + ["-np", str(sessions)]) as edge:
                    split = self.sessions(network, edge, [(prompt, tokens, 0)] * sessions, context)
                for session in split:
                    self.check(name, prompt, session["tokens"])
                speed, _ = shares(split)
                pairs.append((speed / alone, speed, alone))
                self.say(f"one-process {name or 'SmolLM2'} x {sessions}: {alone:.2f} tokens/s in "
                         f"one process, {speed:.2f} in two")
            ratio, speed, alone = sorted(pairs)[RUNS // 2]
            rows.append(Row("one-process", f"{name or 'SmolLM2'}, {sessions} session"
                            f"{'s' if sessions > 1 else ''}: tokens/s of two processes on loopback "
                            "over one process's", f"{ratio:.3f} ({speed:.1f} over {alone:.1f})",
                            f"≥ {ONE_PROCESS_MIN}", ratio >= ONE_PROCESS_MIN))
        return rows

    def speed_alone(self, name, prompt, sessions, tokens):
        if sessions == 1:
            answer = json.loads(run(
                [self.options.mortar, "run", "-m", self.model(name), "-t", "1", "--front", "1",
                 "--back", "1", "--raw", "--json", "-n", str(tokens), "--temp", "0", "-c", "512",
                 "-f", prompt]))
            return answer["timings"]["decode_tok_s"]
        (bench,) = json.loads(run(
            [self.options.mortar, "bench", "-m", self.model(name), "-t", "1", "-p", "0", "-n",
             str(tokens), "--batch", str(sessions), "-r", "1", "--json"]))
        return bench["tok_s"]

    def small_edge(self):
        path, threads = self.model(LLAMA_7B), os.cpu_count()
        network = self.network(LINK, LLAMA_7B, threads)
        prompt = self.prompt("a small village by the sea")
        self.expected(LLAMA_7B, prompt, 16)
        (bench,) = json.loads(run([self.options.mortar, "bench", "-m", path, "-t", str(threads),
                                   "-p", "0", "-n", "16", "-r", "1", "--json"]))
        plan = self.plan(path, bench["gb_s"])
        predicted = plan["predicted_ms_per_token"]
        sizes = [hop["layers"][1] - hop["layers"][0] for hop in plan["hops"]
                 if hop["role"] == "worker"]
        with network.cluster(len(sizes), ["-c", "512", "-np", "1"],
                             ["--layers", ",".join(map(str, sizes))]) as edge:
            network.load(edge, ["-c", "512", "-f", prompt])
            forget_pages(path)
            outcome = run_limited(network.edge_command(edge, 16, ["-c", "512", "-f", prompt]),
                                  EDGE_LIMIT, EDGE_SECONDS)
        if outcome.code != 0:
            raise Failed(f"the edge in {EDGE_LIMIT} bytes: {outcome.describe()}")
        answer = json.loads(outcome.out)
        self.check(LLAMA_7B, prompt, answer["tokens"])
        ms = 1000 / answer["timings"]["decode_tok_s"]
        ratio = predicted / ms
        forget_pages(path)
        peer = run_limited([os.path.join(self.options.llama, "llama-bench"), "-m", path, "-t",
                            str(threads), "-p", "0", "-n", "8", "-r", "1", "-o", "json"],
                           EDGE_MEMORY, LLAMA_SECONDS)
        compute = " + ".join(f"{hop['compute_ms'] / 16:.0f}" for hop in answer["wire"]["hops"])
        self.say(f"small-edge: {ms:.0f} ms per token, {predicted:.0f} predicted; hops compute "
                 f"{compute}, the plan "
                 f"{[round(hop['predicted_ms_per_token']) for hop in plan['hops']]}; most memory "
                 f"{outcome.peak / 1e6:.0f} MB; llama.cpp: {peer.describe()}")
        return [Row("small-edge", f"7B shape in Q4_0, edge in 1 GB, {len(sizes)} workers: tokens/s "
                    "over the predicted ones",
                    f"{ratio:.2f} ({ms:.0f} ms per token, {predicted:.0f} predicted from "
                    f"{bench['gb_s']:.1f} GB/s)", f"≥ {PREDICTED_MIN:g}", ratio >= PREDICTED_MIN),
                memory_row(outcome),
                Row("small-edge", "llama.cpp in 1 GB", peer.describe(), "cannot run",
                    peer.code != 0)]

    def plan(self, path, gb_s):
        rtt, rate = LINK
        text = f'[edge]\ngb_s = {gb_s}\nzone = "home"\nmbit_s = {rate}\n'
        for name in "ab":
            text += (f'[[node]]\nname = "{name}"\ngb_s = {gb_s}\nmemory = "2G"\nzone = "{name}"\n'
                     f'mbit_s = {rate}\n')
        for one, other in (("home", "a"), ("home", "b"), ("a", "b")):
            text += f'[[zone]]\nfrom = "{one}"\nto = "{other}"\nrtt_ms = {rtt}\n'
        nodes = self.prompt(text)
        return json.loads(run([self.options.mortar, "plan", "-m", path, "--nodes", nodes, "--json",
                               "--front", "1", "--back", "1", "-c", "512", "-np", "1"]))


CASES = {"first-token": Cases.first_token, "prefill-beside-decode": Cases.prefill_beside_decode,
         "many-edges": Cases.many_edges, "one-process": Cases.one_process,
         "small-edge": Cases.small_edge}
