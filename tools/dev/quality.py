"""What quantised products cost in accuracy, for every type of weights, beside llama.cpp.

usage: quality.py MORTAR LLAMA_FOLDER LLAMA_FLAGS MODEL --work FOLDER [--types T,T] [--chunks N]
       [--text FILE] [--kv f16|f32] [--resume] [--write]

MODEL is padded to a width that every type can hold (tools/reference/pad_model.py) and quantised by
llama-quantize, all matrices to the same type but in mixes; what these weights stand for, in F32
with f32 KV, is the reference. Perplexity may exceed that of llama.cpp's F32 run by 0.4 % and two
standard errors of the paired difference, and the mean divergence of Kullback and Leibler from the
own F32 run may be 1.1 times what llama.cpp's is from its own. Both programs score the same tokens:
the second halves of the same contexts. The exit code is 1 where a type misses a bar.
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reference"))
import pad_model
import quality_table
from gguf_f32 import Gguf
from quality_table import KL_RATIO_MAX, PPL_RATIO_MAX

# What llama-quantize calls a file of this type, and the type's number in a GGUF.
TYPES = {"Q4_0": ("Q4_0", 2), "Q4_1": ("Q4_1", 3), "Q5_0": ("Q5_0", 6), "Q5_1": ("Q5_1", 7),
         "Q8_0": ("Q8_0", 8), "Q2_K": ("Q2_K", 10), "Q3_K": ("Q3_K_S", 11),
         "Q4_K": ("Q4_K_S", 12), "Q5_K": ("Q5_K_S", 13), "Q6_K": ("Q6_K", 14),
         "IQ4_NL": ("IQ4_NL", 20), "IQ4_XS": ("IQ4_XS", 23), "F16": ("F16", 1),
         "BF16": ("BF16", 30),
         # With more bits for some matrices, as llama-quantize has it: so small a model of two bits
         # alone says nothing any more.
         "Q2_K mixed": ("Q2_K", 10), "Q4_K mixed": ("Q4_K_M", 12)}
CONTEXT = 512
SCORED = CONTEXT // 2 - 1  # of each context; the last token has none to predict
EXACT_KV = "-ctk f32 -ctv f32 -fa off"
# Two F32 runs of one model that score the same tokens, in nats a token: they sum in another order.
AGREEMENT = 1e-3
PADDING_LOGIT_MAX = 1e-2  # largest change of a logit by padding; 1e-4 is seen


class Failed(Exception):
    """A program that gave no figures, or figures of something else."""


def run(command):
    """What the command prints on both streams."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            errors="replace")
    if result.returncode != 0:
        last = (result.stdout.strip().splitlines() or [""])[-1]
        raise Failed(f"{os.path.basename(command[0])} ended with {result.returncode}: {last[:200]}")
    return result.stdout


def compare(options, reference, model, kv, chunks):
    """`mortar compare` of a model against a reference with f32 KV."""
    command = [options.mortar, "compare", "-m", reference, "--kv", "f32", "--against", model,
               "--against-kv", kv, "-f", options.text, "-c", str(CONTEXT), "--chunks", str(chunks),
               "-t", str(options.threads), "--json", "--log-level", "off"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise Failed(f"mortar compare: {result.stderr.strip()[-200:]}")
    report = json.loads(result.stdout)
    if report["positions"] % SCORED != 0:
        raise Failed(f"mortar scored {report['positions']} tokens, not {SCORED} a context")
    return report


def padded_model(options):
    """The padded model, after a look at whether it is the same model."""
    path = os.path.join(options.work, "padded.gguf")
    exact = os.path.join(options.work, "exact.gguf")
    file = Gguf(options.model)
    pad_model.write(file, path, pad_model.Padding(file))
    pad_model.write(file, exact, pad_model.Unchanged())
    report = compare(options, exact, path, "f32", 1)
    os.remove(exact)
    if report["logit_difference_max"] > PADDING_LOGIT_MAX:
        raise Failed(f"padding changes a logit by {report['logit_difference_max']}")
    return path, report


def quantise(options, padded, name):
    """(file of this type, the same weights in F32)"""
    program = os.path.join(options.llama, "llama-quantize")
    kind, number = TYPES[name]
    path, dequantised = (os.path.join(options.work, f"type{end}.gguf") for end in ("", "-f32"))
    mixed = name.endswith(" mixed")
    run([program] + ([] if mixed else ["--pure"]) + [padded, path, kind, str(options.threads)])
    numbers = {of_file for shape, of_file, _ in Gguf(path).infos.values() if len(shape) == 2}
    if number not in numbers or (len(numbers) > 1 and not mixed):
        raise Failed(f"llama-quantize made tensors of the types {numbers} for {name}")
    run([program, "--allow-requantize", "--pure", path, dequantised, "F32", str(options.threads)])
    return path, dequantised


def llama_perplexity(options, arguments):
    # Repacked weights are multiplied with the same rounded rows, and on some machines the tiles
    # of AMX, which they bring along, do not hold.
    return run([os.path.join(options.llama, "llama-perplexity"), "-c", str(CONTEXT), "-t",
                str(options.threads), "--no-repack"] + arguments)


def figure(text, label):
    found = re.search(re.escape(label) + r"\s*[:=]\s*(-?[\d.]+) (?:±|\+/-)\s*([\d.]+)", text)
    if not found:
        raise Failed(f"llama-perplexity printed no '{label}'")
    return float(found.group(1)), float(found.group(2))


def llama_figures(options, path, dequantised):
    """llama.cpp's figures of the model, beside its own F32 run."""
    base = os.path.join(options.work, "base.logits")
    # Its perplexity is read here: the file keeps 16 bits of a logarithm, and of none below -16.
    exact = llama_perplexity(options, ["-m", dequantised, "-f", options.text, "--chunks",
                                       str(options.chunks), "--kl-divergence-base", base]
                             + EXACT_KV.split())
    reference = figure(exact, "Final estimate: PPL")[0]
    kv = EXACT_KV.split() if options.kv == "f32" else []
    text = llama_perplexity(options, ["-m", path, "--kl-divergence-base", base,
                                      "--kl-divergence"] + kv)
    os.remove(base)
    kl, kl_error = figure(text, "Mean    KLD")
    return {"ppl": figure(text, "Mean PPL(Q)")[0], "reference": reference, "kl": kl,
            "kl_error": kl_error}


def measure(options, padded, name):
    path, dequantised = quantise(options, padded, name)
    record = {"mortar": compare(options, dequantised, path, options.kv, options.chunks),
              "llama.cpp": llama_figures(options, path, dequantised)}
    os.remove(path)
    os.remove(dequantised)
    apart = math.log(record["mortar"]["ppl"] / record["llama.cpp"]["reference"])
    if abs(apart) > AGREEMENT:
        raise Failed(f"{name}: the two F32 runs differ by {apart:+.5f} nats a token")
    return record


def measure_all(options):
    """{type: record}, kept in a file as they come, and the report on padding."""
    os.makedirs(options.work, exist_ok=True)
    kept = os.path.join(options.work, "quality.json")
    identity = [os.path.getmtime(options.mortar), options.chunks, options.kv, options.text,
                options.llama_flags]
    stored = {"identity": identity, "results": {}}
    if options.resume and os.path.exists(kept):
        with open(kept, encoding="utf-8") as file:
            of_file = json.load(file)
        if of_file["identity"] == identity:
            stored = of_file
    wanted = options.types.split(",")
    missing = [name for name in wanted if name not in stored["results"]]
    if missing:
        padded, stored["padding"] = padded_model(options)
    for name in missing:
        begin = time.monotonic()
        stored["results"][name] = measure(options, padded, name)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
        with open(kept, "w", encoding="utf-8") as file:
            json.dump(stored, file, indent=1)
    if missing:
        os.remove(padded)
    return {name: stored["results"][name] for name in wanted}, stored["padding"]


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench quality")
    for name in ("mortar", "llama", "llama_flags", "model"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--work", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--types", default=",".join(TYPES), help="T,T (default all)")
    parser.add_argument("--chunks", type=int, default=20,
                        help="contexts of 512 tokens (default 20)")
    parser.add_argument("--text", default="tests/data/golden/perplexity.txt",
                        help="the text (default %(default)s)")
    parser.add_argument("--kv", choices=("f16", "f32"), default="f16",
                        help="KV of both programs; the reference has f32 (default f16)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--resume", action="store_true",
                        help="keep what an interrupted run of the same program measured")
    parser.add_argument("--write", action="store_true", help="also write docs/quality.md")
    options = parser.parse_args()
    for name in options.types.split(","):
        if name not in TYPES:
            parser.error(f"--types: {name} is none of {', '.join(TYPES)}")
    return options


def main():
    options = parse()
    try:
        results, padding = measure_all(options)
    except Failed as failed:
        sys.exit(f"error: {failed}")
    lines = quality_table.head(options, padding) + quality_table.table(results)
    print("\n".join(lines))
    if options.write:
        quality_table.write("docs/quality.md", lines)
    missed = [name for name, record in results.items() if quality_table.misses(record)]
    if missed:
        print(f"error: {', '.join(missed)}: more than {100 * (PPL_RATIO_MAX - 1):.1f} % and two "
              f"standard errors, or than {KL_RATIO_MAX} times llama.cpp's divergence",
              file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
