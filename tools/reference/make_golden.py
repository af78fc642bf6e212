"""Makes tests/data/golden: token lists, and what the f32 reference says along them.

    python3 make_golden.py --model M.gguf --llama-bin LLAMA_CPP/build/bin --texts DIR --out DIR

--texts is a folder with alice29.txt and lcet10.txt (their SHA-256 is checked). prompts.json is
read from --out: it is written by hand. Token ids come from llama.cpp's tokenizer, everything
else from llama_f32.py.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import sys

import numpy as np

import golden_files as files
from llama_cpp import LlamaCpp
from llama_f32 import Llama, log_sum_exp

N_PROMPT, N_TEXT, N_CHUNKS = 64, 4096, 40
# Where each stored text begins, and the digest of the whole source.
SOURCES = {
    "text": ("alice29.txt", "                            CHAPTER I\n",
             "7467306ee0feed4971260f3c87421154a05be571d944e9cb021a5713700c38f0"),
    "perplexity": ("lcet10.txt", "                               PROCEEDINGS\n\n\nWELCOME",
                   "5314ba1dbb03f471df88bec6cd120a938ef60d0fd3511c5c1dce61bf7463245f"),
}


def stored_text(llama, texts, out, name, n_tokens):
    """Writes out/name.txt, a piece that gives a little more than n_tokens; returns the first
    n_tokens ids."""
    source, start, digest = SOURCES[name]
    raw = open(os.path.join(texts, source), "rb").read()
    if hashlib.sha256(raw).hexdigest() != digest:
        raise ValueError(f"{source}: not the file of SHA-256 {digest}")
    text = raw.decode("ascii").replace("\r\n", "\n")
    if text.count(start) != 1:
        raise ValueError(f"{source}: the place where the piece begins is not unique")
    text = text[text.index(start):]
    # Whole lines, so that the cut does not change how the last of the kept ids come about.
    lines, n_lines = text.splitlines(keepends=True), 1
    while len(llama.tokenize("".join(lines[:n_lines]))) < n_tokens + 32:
        n_lines += 4
    piece = "".join(lines[:n_lines])
    with open(os.path.join(out, name + ".txt"), "w", encoding="utf-8") as file:
        file.write(piece)
    return llama.tokenize(piece)[:n_tokens]


def make_tokens(llama, texts, out):
    prompts = json.load(open(os.path.join(out, "prompts.json"), encoding="utf-8"))
    lists = []
    for i, prompt in enumerate(prompts):
        ids = llama.tokenize(prompt["text"])
        if len(ids) < N_PROMPT + 4:
            raise ValueError(f"prompt {i} has {len(ids)} tokens, wanted {N_PROMPT + 4}")
        lists.append(ids[:N_PROMPT])
    files.write_tokens(os.path.join(out, "prompts.tokens"), lists)
    text = stored_text(llama, texts, out, "text", N_TEXT)
    files.write_tokens(os.path.join(out, "text.tokens"), [text])
    ids = stored_text(llama, texts, out, "perplexity", N_CHUNKS * files.N_CONTEXT)
    chunks = np.array(ids).reshape(N_CHUNKS, files.N_CONTEXT)
    files.write_tokens(os.path.join(out, "perplexity.tokens"), chunks)


def make_records(model, out, name):
    lists = files.read_tokens(os.path.join(out, name + ".tokens"))
    random = files.random_ids(*lists.shape, files.N_RANDOM, model.n_vocab)
    records = []
    for tokens, ids in zip(lists, random):
        logits = model.logits(model.hidden(tokens))
        records.append(files.make_records(logits, ids, log_sum_exp(logits)))
    files.write_records(os.path.join(out, name + ".ref"), np.stack(records), model.n_vocab)


def make_nll(model, out):
    """Returns the perplexity."""
    nll = []
    for tokens in files.read_tokens(os.path.join(out, "perplexity.tokens")):
        hidden = model.hidden(tokens)[len(tokens) // 2:-1]
        nll.append(files.scored(tokens, model.logits(hidden), log_sum_exp))
        print(f"perplexity after {len(nll)} contexts: {np.exp(np.mean(nll)):.4f}", flush=True)
    np.array(nll).astype("<f4").tofile(os.path.join(out, "perplexity.nll"))
    return float(np.exp(np.mean(nll)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("--model", "--llama-bin", "--texts", "--out"):
        parser.add_argument(flag, required=True)
    args = parser.parse_args()
    llama = LlamaCpp(args.llama_bin, args.model)
    make_tokens(llama, args.texts, args.out)
    model = Llama(args.model)
    make_records(model, args.out, "prompts")
    make_records(model, args.out, "text")
    ppl = make_nll(model, args.out)
    about = {
        "program": "tools/reference/make_golden.py",
        "date": datetime.date.today().isoformat(),
        "numpy": np.__version__, "python": platform.python_version(), "platform": sys.platform,
        "model": os.path.basename(args.model), "model_sha256": model.file.sha256(),
        "tokenizer": f"llama.cpp {llama.version}",
        "perplexity": ppl, "perplexity_contexts": N_CHUNKS, "perplexity_n_ctx": files.N_CONTEXT,
        "texts": {name: {"source": s[0], "source_sha256": s[2]} for name, s in SOURCES.items()},
    }
    with open(os.path.join(args.out, "reference.json"), "w", encoding="utf-8") as file:
        json.dump(about, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
