"""What network.py measured, as Markdown, and which bars it misses."""
import collections
import os
import statistics
import time

from bench_table import cpu_name, version_of

LINKS = ((10, 100), (30, 100), (100, 50))  # round trip in ms, Mbit/s
COMPARED = (30, 100)  # the link at which llama.cpp's ratio and that of drafts count
# Nodes in the way of a token, and what a token may take for each ms of round trip: 1, 1.5 and 2
# ways there and back, and a little.
SLOPE_MAX = {"edge → A": 1.05, "edge → A → B": 1.6, "edge → A → B, relayed ends": 2.6}
# Of a case that is no matter of speed alone (network_cases.py).
Row = collections.namedtuple("Row", "case what measured bar holds")
CASES_TITLE = "## Sessions that share"
LLAMA_AS_TOLD = "-ngl 99"  # by its README: all layers and the head at the server
LLAMA_RATIO_MIN = 1.4
DRAFTS_RATIO_MIN = 2.0
OVERHEAD_MAX = 300  # bytes of a hop and token beyond n_embd numbers of 4 bytes


def slope(points):
    """Of the line with the least squares through [(x, y)]."""
    x_mean = statistics.mean(x for x, _ in points)
    y_mean = statistics.mean(y for _, y in points)
    return (sum((x - x_mean) * (y - y_mean) for x, y in points)
            / sum((x - x_mean) ** 2 for x, _ in points))


def figures(answer, row_bytes):
    """What counts of one answer: {ms: of a token, the mean behind the first; beyond: of it outside
    of all layers, in ms; hop_bytes: of a hop and token}."""
    timings, prompt, tokens = answer["timings"], len(answer["prompt_tokens"]), len(answer["tokens"])
    ms = 1000 / timings["decode_tok_s"]
    compute = sum(hop["compute_ms"] for hop in answer["wire"]["hops"])
    whole = 1000 * prompt / timings["prefill_tok_s"] + ms * (tokens - 1)
    return {"ms": ms, "beyond": (whole - compute) / tokens,
            "hop_bytes": hop_bytes(answer, row_bytes)}


def hop_bytes(answer, row_bytes):
    """Bytes of one token at the hop that takes most. All positions but the last token's crossed,
    the prompt's together, and each message has its head."""
    rows = len(answer["prompt_tokens"]) + len(answer["tokens"]) - 1
    return max(row_bytes + (hop["bytes"] - rows * row_bytes) / hop["messages"]
               for hop in answer["wire"]["hops"])


def ratios(records, ours, theirs):
    """Of each pair, then the median: what slowed a pair slowed both."""
    return [theirs / ours for ours, theirs in zip(ms_of(records, ours), ms_of(records, theirs))]


def ms_of(records, name):
    return [one["ms"] for one in records[name]]


def spread(values, digits=1):
    return (f"{statistics.median(values):.{digits}f} "
            f"({min(values):.{digits}f} to {max(values):.{digits}f})")


def slope_of(results, name):
    """None where it was not measured over several links."""
    points = [(link[0], statistics.median(ms_of(records, name)))
              for link, records in results["links"].items() if name in records]
    return slope(points) if len(points) > 1 else None


def best_peer(results):
    """The fastest setting of llama.cpp at the link where it is compared with."""
    records = results["links"][COMPARED]
    return min((name for name in records if name not in SLOPE_MAX),
               key=lambda name: statistics.median(ms_of(records, name)))


def bars(results):
    """[(what, measured, bar, holds)]"""
    rows = []
    for name, bar in SLOPE_MAX.items():
        measured = slope_of(results, name)
        if measured is not None:
            rows.append((f"{name}: ms per token for each ms of round trip", f"{measured:.3f}",
                         f"≤ {bar}", measured <= bar))
    if COMPARED in results["links"]:
        for peer in dict.fromkeys((LLAMA_AS_TOLD, best_peer(results))):
            ratio = statistics.median(ratios(results["links"][COMPARED], "edge → A", peer))
            rows.append((f"tokens/s over llama.cpp `{peer}`, {link_text(COMPARED)}",
                         f"{ratio:.3f}", f"≥ {LLAMA_RATIO_MIN}", ratio >= LLAMA_RATIO_MIN))
    most = max(one["hop_bytes"] for records in results["links"].values() for name in SLOPE_MAX
               for one in records[name])
    bound = results["row_bytes"] + OVERHEAD_MAX
    rows.append(("bytes of a hop and token, encrypted", f"{most:.0f}", f"≤ {bound}", most <= bound))
    if results["drafts"]:
        ratio = statistics.median(ratios(results["drafts"], "lookup", "none"))
        rows.append((f"copying, tokens/s with `--draft lookup` over without, {link_text(COMPARED)}",
                     f"{ratio:.3f}", f"≥ {DRAFTS_RATIO_MIN}", ratio >= DRAFTS_RATIO_MIN))
    return rows


def link_text(link):
    return f"{link[0]} ms and {link[1]} Mbit/s"


def markdown(lines):
    return ["| " + " | ".join(line) + " |" for line in [lines[0], ["---"] * len(lines[0])]
            + lines[1:]]


def speed_table(results):
    lines = [["round trip, rate", "setting", "ms per token", "tokens/s", "beyond compute, ms",
              "bytes per hop and token"]]
    for link, records in results["links"].items():
        for name, runs in records.items():
            ours = name in SLOPE_MAX
            times = ms_of(records, name)
            lines.append([link_text(link), name if ours else f"llama.cpp `{name}`", spread(times),
                          spread([1000 / ms for ms in times])]
                         + ([spread([one["beyond"] for one in runs]),
                             f"{max(one['hop_bytes'] for one in runs):.0f}"] if ours else ["", ""]))
    return markdown(lines)


def drafts_table(results):
    lines = [["drafts", "ms per token", "tokens/s", "guesses made, held"]]
    for name, runs in results["drafts"].items():
        lines.append([name, spread(ms_of(results["drafts"], name)),
                      spread([1000 / one["ms"] for one in runs]),
                      f"{runs[0]['proposed']}, {runs[0]['accepted']}"])
    return markdown(lines)


def bars_table(results):
    return markdown([["what", "measured", "bar", "verdict"]]
                    + [[what, measured, bar, "holds" if holds else "**missed**"]
                       for what, measured, bar, holds in bars(results)])


def head(options, results):
    """The machine, the programs and how they were run."""
    loads = results["loads"]
    return [
        f"- machine: {cpu_name()}, {os.cpu_count()} CPUs; load average {min(loads):.1f} to "
        f"{max(loads):.1f} meanwhile, this measurement's own included",
        f"- mortar: {version_of([options.mortar, 'version'])}; `--front 1 --back 1 -t "
        f"{options.threads}` in each process, keys on; answers of {options.tokens} tokens, greedy",
        f"- llama.cpp: "
        f"{version_of([os.path.join(options.llama, 'llama-bench'), '--version'])}, from "
        f"{options.llama_flags}; `ggml-rpc-server -t {options.threads}` behind the link, "
        f"`llama-bench --rpc -t {options.threads} -p 0 -n {options.tokens}`, nothing encrypted",
        f"- {options.pairs} pairs, all settings in alternation, each with programs started anew; "
        "medians, least and most. Ratios are medians of the pairs' ratios. The slope is that of "
        "the line with the least squares through the medians over the round trip",
    ]


def page(options, results):
    screened = [f"`{name}` {speed:.1f}" for name, speed in results["screened"].items()]
    return head(options, results) + [
        "",
        "Each pair of nodes has a link of its own on loopback (`tests/support/link_proxy.h`), "
        "which takes half of the round trip each way and passes no more than its rate; coordinator "
        "and relay stand with worker A. A token is back at the edge after 1 round trip from A "
        "alone, 1.5 over A and B, and 2 where the edge's frames go through the coordinator's "
        "relay. All answers have the tokens of one process. Frames are encrypted on each link and "
        "sealed from edge to hop; trace context, for which the bar on bytes leaves room, is not "
        "there yet.",
        ""] + bars_table(results) + ["", "## Speed", ""] + speed_table(results) + [
            "",
            "Beyond compute: from the route to the last token, without what the layers computed, "
            "for each token. One process on this machine takes "
            f"{spread(results['alone'])} ms per token."
        ] + (["", f"Settings of llama.cpp, tokens/s of one run at {link_text(COMPARED)}: "
              f"{', '.join(screened)}. `-ngl 99` gives the server all layers and the head, as its "
              "README does; `-ot token_embd\\.weight=CPU` keeps the head at the client, so that "
              "hidden states come back and not logits."] if screened else []) + (
            ["", "## Drafts", "",
             f"A text that repeats, edge → A, {link_text(COMPARED)}.", ""]
            + drafts_table(results) if results["drafts"] else [])


def case_lines(rows, when, load):
    """Of the table of cases."""
    return [f"| `{row.case}` | {row.what} | {row.measured} | {row.bar} | "
            f"{'holds' if row.holds else '**missed**'} | {when}, load {load:.1f} |"
            for row in rows]


CASES_INTRO = [
    CASES_TITLE, "",
    "Several sessions on one link, many edges, and an edge with little memory: `./dev bench "
    "network --cases NAME`. Links are 30 ms and 100 Mbit/s if nothing else is said, keys are on, "
    "each process computes with `-t 1`, of `small-edge` with all cores, since there one computes "
    "at a time. Models other than SmolLM2 have random weights: `wide-q4_0` has rows of 8 KiB and "
    "little to compute, so that its link is what is scarce. All tokens are those of one process. "
    "Delays are those of the worst token, the median of three runs; ratios the median of three. "
    "Compute is what the layers of the busiest node take, transfer the bytes of the fullest hop "
    "over its rate. The prediction is that of `mortar plan` from the speed of `mortar bench`. The "
    "load is the machine's average of a minute, the case's own among it.", "",
    "| case | what | measured | bar | verdict | when |", "| --- | --- | --- | --- | --- | --- |"]


def page_parts(text):
    """A page as (speed, lines of the table of cases); what there is not is empty."""
    speed, _, cases = text.partition(CASES_TITLE)
    return speed.rstrip(), [line for line in cases.splitlines() if line.startswith("| `")]


def merged(old, new):
    """Lines of the table of cases: those of a case that was measured anew take its place."""
    measured = {line.split("`")[1] for line in new}
    return [line for line in old if line.split("`")[1] not in measured] + new


def write(path, speed, cases):
    """Writes the parts that were measured, `speed` None or lines, `cases` lines; others stay."""
    try:
        with open(path, encoding="utf-8") as file:
            old_speed, old_cases = page_parts(file.read())
    except FileNotFoundError:
        old_speed, old_cases = "", []
    if speed is not None:
        old_speed = ("# Benchmarks over a network\n\nWritten by `./dev bench network --write` on "
                     f"{time.strftime('%Y-%m-%d')}.\n\n" + "\n".join(speed))
    lines = merged(old_cases, cases)
    text = old_speed + ("\n\n" + "\n".join(CASES_INTRO + lines) if lines else "") + "\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
