"""What quality.py measured, as Markdown, and which bars it misses."""
import math
import os
import time

from bench_table import cpu_name, version_of

PPL_RATIO_MAX = 1.004  # and two standard errors
KL_RATIO_MAX = 1.1
# llama-perplexity keeps 16 bits of the reference's logarithms and prints six decimals: a smaller
# divergence, as with F16, counts as this one.
KL_RESOLUTION = 1e-6
COLUMNS = ["type", "perplexity: reference", "own F32 run", "mortar", "difference, %",
           "llama.cpp, %", "KL, mortar", "KL, llama.cpp", "ratio", "verdict"]


def difference(record):
    """Nats a token above the reference, llama.cpp's F32 run, and the standard error. The error is
    that of the pairs with the own F32 run, which the reference equals but for rounding."""
    ours = record["mortar"]
    return (math.log(ours["against_ppl"] / record["llama.cpp"]["reference"]),
            ours["nll_difference_error"])


def ratio(record):
    return record["mortar"]["kl_mean"] / max(record["llama.cpp"]["kl"], KL_RESOLUTION)


def misses(record):
    """The bars that a type misses, in words."""
    mean, error = difference(record)
    bars = {"perplexity": mean > math.log(PPL_RATIO_MAX) + 2 * error,
            "KL": ratio(record) > KL_RATIO_MAX}
    return [bar for bar, missed in bars.items() if missed]


def percent(nats):
    return 100 * math.expm1(nats)


def cells(name, record):
    ours, theirs = record["mortar"], record["llama.cpp"]
    mean, error = difference(record)
    missed = misses(record)
    return [name, f"{theirs['reference']:.4f}", f"{ours['ppl']:.4f}", f"{ours['against_ppl']:.4f}",
            f"{percent(mean):+.3f} ± {100 * error:.3f}",
            f"{100 * (theirs['ppl'] / theirs['reference'] - 1):+.3f}",
            f"{ours['kl_mean']:.3g} ± {ours['kl_error']:.1g}",
            f"{theirs['kl']:.3g} ± {theirs['kl_error']:.1g}", f"{ratio(record):.2f}",
            f"**misses {' and '.join(missed)}**" if missed else "holds"]


def table(results):
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    lines += [cells(name, record) for name, record in results.items()]
    return ["| " + " | ".join(line) + " |" for line in lines]


def head(options, padding):
    """The machine, the programs and how they were run."""
    llama = os.path.join(options.llama, "llama-perplexity")
    return [
        f"- machine: {cpu_name()}; mortar: {version_of([options.mortar, 'version'])}",
        f"- llama.cpp: {version_of([llama, '--version'])}, from {options.llama_flags}; "
        "`--no-repack`",
        f"- text: {options.text}, {options.chunks} contexts of 512 tokens, 255 of each scored; "
        f"KV {options.kv} in both programs, f32 in the references",
        f"- model: {os.path.basename(options.model)}, padded with zeros; that changes a logit by "
        f"at most {padding['logit_difference_max']:.1g}",
        "",
    ]


def write(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""# Accuracy of every type

Written by `./dev bench quality … --write` on {time.strftime('%Y-%m-%d')}. The reference of a type
is what its weights stand for, in F32 with f32 KV: what differs is owed to the activations, which
products with quantised weights round ([numerics.md](numerics.md), rule 3), and to KV. The bars:
perplexity at most 0.4 % and two standard errors above llama.cpp's F32 run, the mean divergence (KL,
nats a token) at most {KL_RATIO_MAX} times that of llama.cpp from its own F32 run, where
{KL_RESOLUTION} is the least that it resolves. All matrices of a file have its type, the head too,
but in mixes; this model in two bits alone predicts nothing any more, which its perplexity shows.
How it is measured: [testing.md](testing.md#every-type-on-a-real-model).

""" + "\n".join(lines) + "\n")
