#!/usr/bin/env python3
"""Makes the stored answers of the tokenizer's tests with Hugging Face's tokenizers library.

    pip install tokenizers==0.23.3 gguf==0.19.0
    tools/make_tokenizer_vectors.py [MODEL.gguf [LLAMA_TOKENIZE]]

Reads tests/data/text/corpus.json; writes pieces.json (the pieces of each pre-tokenizer that is not
another's by a second name), normal_forms.json (texts in normal forms C and D), and, with MODEL,
smollm2_tokens.json (ids, by the vocabulary and merges of MODEL, with SmolLM2's published pipeline:
single digits, then GPT-2's byte-level pieces) beside it. With LLAMA_TOKENIZE, the path of
llama.cpp's program, the ids are compared with its own as well; the texts where they differ are
listed in the file, by index, and must be those with bytes that the vocabulary lacks.
"""
import hashlib
import json
import pathlib
import subprocess
import sys
from random import Random

import gguf
import tokenizers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data/text"
ABOUT = {"made_by": "tools/make_tokenizer_vectors.py",
         "versions": {"tokenizers": tokenizers.__version__, "gguf": "0.19.0"}}

# From the tokenizer.json of Llama 3, Qwen2, Qwen3.5, GPT-4o (Llama 4), Mistral Nemo and DeepSeek.
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}", r"[^\s\p{L}\p{M}")
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+END"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*END"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = CASED.replace("END", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?")
TEKKEN = CASED.replace("END", "").replace("{1,3}", "")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
             r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
             r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def splits(*patterns):
    return [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]


def pipelines():
    return {
        "deepseek-coder": pre_tokenizers.Sequence(
            splits(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+",
                   "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+")
            + [pre_tokenizers.Digits(individual_digits=True)]),
        "deepseek-v3": pre_tokenizers.Sequence(
            splits(r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK3)),
        "gpt-4o": pre_tokenizers.Split(Regex(GPT4O), "isolated"),
        "qwen35": pre_tokenizers.Split(Regex(QWEN35), "isolated"),
        "tekken": pre_tokenizers.Split(Regex(TEKKEN), "isolated"),
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


def write(name, value):
    (DATA / name).write_text(
        json.dumps(value, separators=(",", ":")).replace("],[", "],\n[") + "\n")


def write_tokens(model, texts):
    plain, special_texts = load(model)
    trusted, _ = load(model)
    trusted.add_special_tokens(special_texts)
    answer = {
        **ABOUT,
        "model_sha256": hashlib.sha256(pathlib.Path(model).read_bytes()).hexdigest(),
        "plain": [plain.encode(t).ids for t in texts],
        "trusted": [trusted.encode(t).ids for t in texts],
    }
    if len(sys.argv) > 2:
        answer["llama_tokenize_differs"] = [
            i for i, t in enumerate(texts) if t and "\0" not in t and
            (llama_ids(sys.argv[2], model, t, False) != answer["plain"][i] or
             llama_ids(sys.argv[2], model, t, True) != answer["trusted"][i])]
    write("smollm2_tokens.json", answer)


def normal_forms(texts):
    """The corpus, and what is hard: marks in any order, Hangul in parts, singletons."""
    random = Random(1)
    hard = ("aeiouAEOU\u00e9\u00ea\u00e7\u00c5\u0323\u0301\u0302\u0308\u0327\u0328\u0345"
            "\u1112\u1161\u11ab\ud55c\ud558\u212b\u2126\ufb1d\u05b4\u0f73\u0f71\u0958\u0915"
            "\u093c\u09c7\u09be\u0344\u03b1\u0313\u1f00\u4e00\uf900\U0001d15e\U000110a5"
            "\U000110ba \n")
    texts = texts + ["".join(random.choices(hard, k=8)) for _ in range(300)]
    return [[t, normalizers.NFC().normalize_str(t), normalizers.NFD().normalize_str(t)]
            for t in texts]


def main():
    texts = json.loads((DATA / "corpus.json").read_text())["texts"]
    if len(sys.argv) > 1:
        write_tokens(sys.argv[1], texts)
    write("normal_forms.json", {**ABOUT, "forms": normal_forms(texts)})
    pieces = {}
    for name, pipeline in pipelines().items():
        pieces[name] = [[t[a:b] for _, (a, b) in pipeline.pre_tokenize_str(t)] for t in texts]
        for text, cut in zip(texts, pieces[name]):
            assert "".join(cut) == text, (name, text, cut)
    write("pieces.json", {**ABOUT, "pieces": pieces})


if __name__ == "__main__":
    main()
