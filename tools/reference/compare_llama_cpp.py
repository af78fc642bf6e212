"""How far llama.cpp goes from the f32 reference along the golden lists: the figures that
Mortar's own are printed beside.

    python3 compare_llama_cpp.py --model M.gguf --llama-bin LLAMA_CPP/build/bin --golden DIR

Needs the files of make_golden.py in --golden and writes llama_cpp.json there. The reference's
logits are computed again, since the stored records hold 32 of them for each position and the
largest difference is wanted over all. A third setting, "reference with rounded activations", is
the reference itself with the inputs of quantised products rounded as the numeric contract
says: what is left of a difference beside it is not owed to that rounding.
"""

import argparse
import datetime
import json
import os

import numpy as np

import golden_files as files
from llama_cpp import F16, F32, FLASH_AUTO, FLASH_OFF, Context, LlamaCpp
from llama_f32 import Llama, log_sum_exp


class Tally:
    """Differences along teacher-forced positions."""

    def __init__(self):
        self.positions = self.differences = 0
        self.gap = self.stored = self.over_all = 0.0

    def add(self, ours, theirs, records, random):
        """ours: the reference's logits; theirs: the other program's; both [n, n_vocab]."""
        miss = theirs.argmax(axis=1) != records["top_ids"][:, 0]
        gaps = records["top_logits"][:, 0] - records["top_logits"][:, 1]
        self.positions += len(ours)
        self.differences += int(miss.sum())
        self.gap = max(self.gap, float(gaps[miss].max(initial=0)))
        far = np.abs(ours - theirs)
        kept = np.concatenate([records["top_ids"], random], axis=1)
        self.stored = max(self.stored, float(np.take_along_axis(far, kept, 1).max()))
        self.over_all = max(self.over_all, float(far.max()))

    def report(self):
        return {"positions": self.positions, "argmax_differences": self.differences,
                "reference_gap_max_among_differences": round(self.gap, 4),
                "logit_difference_max_stored_ids": round(self.stored, 4),
                "logit_difference_max_all_ids": round(self.over_all, 4)}


def paired(reference, other):
    """Both: -log p of the same tokens. The difference per token, with its standard error."""
    difference = other - reference
    return {"ppl": float(np.exp(other.mean())), "reference_ppl": float(np.exp(reference.mean())),
            "tokens": int(reference.size), "mean_difference_nats": float(difference.mean()),
            "standard_error_nats": float(difference.std(ddof=1) / np.sqrt(difference.size))}


def run_list(model, settings, tallies, tokens, records, random):
    ours = model.logits(model.hidden(tokens))
    for name, logits_of in settings.items():
        tallies[name].add(ours, logits_of(tokens), records, random)


def compare_lists(model, settings, golden, name):
    lists = files.read_tokens(os.path.join(golden, name + ".tokens"))
    records = files.read_records(os.path.join(golden, name + ".ref"))
    random = files.random_ids(*lists.shape, files.N_RANDOM, model.n_vocab)
    tallies = {setting: Tally() for setting in settings}
    for i in range(len(lists)):
        run_list(model, settings, tallies, lists[i], records[i], random[i])
    return {setting: tally.report() for setting, tally in tallies.items()}


def compare_perplexity(settings, golden):
    chunks = files.read_tokens(os.path.join(golden, "perplexity.tokens"))
    reference = np.fromfile(os.path.join(golden, "perplexity.nll"), "<f4").astype(np.float64)
    out = {}
    for name, logits_of in settings.items():
        nll = [files.scored(tokens, logits_of(tokens)[len(tokens) // 2:-1], log_sum_exp)
               for tokens in chunks]
        out[name] = paired(reference, np.concatenate(nll))
        print(name, out[name], flush=True)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for flag in ("--model", "--llama-bin", "--golden"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    llama = LlamaCpp(args.llama_bin, args.model)
    model, rounded = Llama(args.model), Llama(args.model, activations="rounded")
    default = Context(llama, 4096, FLASH_AUTO, F16, args.threads)
    plain = Context(llama, 4096, FLASH_OFF, F32, args.threads)
    settings = {"default flags": default.logits, "-fa off -ctk f32 -ctv f32": plain.logits,
                "reference with rounded activations": lambda t: rounded.logits(rounded.hidden(t))}
    report = {"program": "tools/reference/compare_llama_cpp.py",
              "date": datetime.date.today().isoformat(), "numpy": np.__version__,
              "llama_cpp": llama.version, "cpu_features": llama.system_info,
              "threads": args.threads, "model_sha256": model.file.sha256(),
              "settings": {name: {} for name in settings}}
    for name in ("prompts", "text"):
        for setting, result in compare_lists(model, settings, args.golden, name).items():
            report["settings"][setting][name] = result
            print(name, setting, result, flush=True)
    for setting, result in compare_perplexity(settings, args.golden).items():
        report["settings"][setting]["perplexity"] = result
    with open(os.path.join(args.golden, "llama_cpp.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
