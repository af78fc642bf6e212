"""What bench.py measured, as Markdown."""
import os
import platform
import statistics
import subprocess

COLUMNS = ["model", "test", "threads", "mortar, tokens/s", "llama.cpp's best", "ratio", "GB/s",
           "of memory"]
IK = "ik_llama.cpp"


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def against(record, peer):
    """Two cells: the peer's figures, and the ratio to them, of each pair, then the median: what
    slowed a pair slowed both."""
    speeds = [run["tok_s"] for run in record["mortar"]]
    ratios = [a / b for a, b in zip(speeds, record["peers"][peer])]
    return [f"{spread(record['peers'][peer])} `{peer}`",
            f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"]


def best_of(record, is_wanted):
    peers = [peer for peer in record["peers"] if is_wanted(peer)]
    return max(peers, key=lambda peer: statistics.median(record["peers"][peer]), default=None)


def cells(name, test, threads, record, with_ik):
    """One line: medians over the pairs, spread, ratios, bytes read against the bound."""
    speeds = [run["tok_s"] for run in record["mortar"]]
    rate = statistics.median(run["gb_s"] for run in record["mortar"])
    shares = [run["gb_s"] / run["bandwidth_gb_s"] for run in record["mortar"] if run["gb_s"]]
    best = best_of(record, lambda peer: not peer.startswith(IK))
    ik = best_of(record, lambda peer: peer.startswith(IK))
    line = [name, test, str(threads), spread(speeds)] + against(record, best)
    line += [f"{rate:.2f}", f"{100 * statistics.median(shares):.0f} %"] if shares else ["", ""]
    if with_ik:
        line += against(record, ik) if ik else ["", ""]
    return line


def failures(rows):
    """What ended badly, each setting once."""
    seen = {}
    for _, test, _, record in rows:
        for peer, figure in record["screened"].items():
            if isinstance(figure, str):
                seen.setdefault((peer, figure), set()).add(test)
    return [f"- `{peer}` {why} in {', '.join(sorted(tests))}"
            for (peer, why), tests in sorted(seen.items())]


def table(rows):
    with_ik = any(peer.startswith(IK) for _, _, _, record in rows for peer in record["peers"])
    columns = COLUMNS + ([IK, "ratio"] if with_ik else [])
    lines = [columns, ["---"] * len(columns)] + [cells(*one, with_ik) for one in rows]
    ended = failures(rows)
    return ["| " + " | ".join(line) + " |" for line in lines] + (
        ["", "Settings of llama.cpp without figures:", ""] + ended if ended else [])


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def version_of(command):
    result = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    return "; ".join(lines[:2]) or "unknown"


def head(options, llama_folder):
    """The machine, the programs and how they were run."""
    return [
        f"- machine: {cpu_name()}, {os.cpu_count()} CPUs, {platform.system()} "
        f"{platform.release()}",
        f"- mortar: {version_of([options.mortar, 'version'])}; `mortar bench -t T "
        f"-r {options.repetitions} --isa {options.isa}`",
        f"- llama.cpp: {version_of([os.path.join(llama_folder, 'llama-bench'), '--version'])}, "
        f"from {options.llama_flags}",
        f"- {options.pairs} pairs, the programs in alternation; the ratio is the median of the "
        "pairs' ratios to the better of the two best settings of llama.cpp, chosen among all by "
        "one run of each",
        "- GB/s: weights and KV that mortar's steps had to read; memory bandwidth is measured in "
        "the same run. Decode is bound by memory, prefill by int8 arithmetic. first: whole "
        "programs per second, each from its start to one token behind a prompt of ten and its end",
        "",
    ]
