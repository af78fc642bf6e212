#!/usr/bin/env python3
"""Makes the stored answers of the tokenizer's tests with Hugging Face's tokenizers library.

    pip install tokenizers==0.23.3 gguf==0.19.0
    tools/make_tokenizer_vectors.py MODEL.gguf [LLAMA_TOKENIZE]

Reads tests/data/text/corpus.json; writes smollm2_tokens.json (ids, by the vocabulary and merges of
MODEL, with SmolLM2's published pipeline: single digits, then GPT-2's byte-level pieces) and
pieces.json (the pieces of each known pre-tokenizer) beside it. With LLAMA_TOKENIZE, the path of
llama.cpp's program, the ids are compared with its own as well; the texts where they differ are
listed in the file, by index, and must be those with bytes that the vocabulary lacks.
"""
import hashlib
import json
import pathlib
import subprocess
import sys

import gguf
import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data/text"

# From the tokenizer.json of Llama 3 and of Qwen2.
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def byte_level():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def pipelines():
    return {
        "gpt-2": byte_level(),
        "llama-bpe": pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
        "qwen2": pre_tokenizers.Split(Regex(QWEN2), "isolated"),
        "smollm": pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), byte_level()]),
    }


def load(path):
    """The tokenizer of a GGUF file, and its special texts by id."""
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pipelines()[fields["tokenizer.ggml.pre"].contents()]
    special = [t for t, kind in zip(tokens, types) if kind in (3, 4)]
    return tokenizer, special


def llama_ids(program, model, text, special):
    flags = [] if special else ["--no-parse-special"]
    out = subprocess.run([program, "-m", model, "--ids", "--no-bos", "--no-escape", "--stdin",
                          "--log-disable", *flags],
                         input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         check=True).stdout
    return json.loads(out.decode().strip().splitlines()[-1])


def main():
    model = sys.argv[1]
    texts = json.loads((DATA / "corpus.json").read_text())["texts"]
    plain, special_texts = load(model)
    trusted, _ = load(model)
    trusted.add_special_tokens(special_texts)
    answer = {
        "made_by": "tools/make_tokenizer_vectors.py",
        "versions": {"tokenizers": tokenizers.__version__, "gguf": "0.19.0"},
        "model_sha256": hashlib.sha256(pathlib.Path(model).read_bytes()).hexdigest(),
        "plain": [plain.encode(t).ids for t in texts],
        "trusted": [trusted.encode(t).ids for t in texts],
    }
    if len(sys.argv) > 2:
        answer["llama_tokenize_differs"] = [
            i for i, t in enumerate(texts) if t and "\0" not in t and
            (llama_ids(sys.argv[2], model, t, False) != answer["plain"][i] or
             llama_ids(sys.argv[2], model, t, True) != answer["trusted"][i])]
    (DATA / "smollm2_tokens.json").write_text(
        json.dumps(answer, separators=(",", ":")).replace("],[", "],\n[") + "\n")

    pieces = {}
    for name, pipeline in pipelines().items():
        pieces[name] = [[t[a:b] for _, (a, b) in pipeline.pre_tokenize_str(t)] for t in texts]
        for text, cut in zip(texts, pieces[name]):
            assert "".join(cut) == text, (name, text, cut)
    out = {"made_by": answer["made_by"], "versions": answer["versions"], "pieces": pieces}
    (DATA / "pieces.json").write_text(
        json.dumps(out, separators=(",", ":")).replace("],[", "],\n[") + "\n")


if __name__ == "__main__":
    main()
