#!/usr/bin/env python3
"""Makes the stored answers of the SentencePiece tokenizer's tests with the library itself.

    pip install sentencepiece==0.2.1 tokenizers==0.23.3
    tools/make_sentencepiece_vectors.py

Trains small BPE models on tests/data/text/corpus.json and tests/data/golden/text.txt, in the ways
that model families differ: `llama` (byte fallback, a space before the text), `gemma` (no such
space, user-defined tokens), `unknown` (no bytes: what has no token is unknown). Writes
sentencepiece.json beside the corpus: each model's tables as GGUF has them, the ids of each text,
and what the library decodes from them. `trusted` are the ids where special tokens count, by
Hugging Face's tokenizers with the pipeline of Llama 2's tokenizer.json; texts of `specials`.
"""
import io
import json
import pathlib

import sentencepiece
import tokenizers
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import Tokenizer, models, normalizers

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data"
COMMON = {
    "model_type": "bpe", "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True, "split_digits": True, "character_coverage": 0.985,
    "hard_vocab_limit": False, "num_threads": 1, "max_sentence_length": 100000,
    "minloglevel": 2}
MODELS = {
    "llama": {"vocab_size": 1000, "byte_fallback": True, "add_dummy_prefix": True},
    "gemma": {"vocab_size": 900, "byte_fallback": True, "add_dummy_prefix": False,
              "user_defined_symbols": ["\n\n", "\n\n\n", "\u2581\u2581", "\u2581\u2581\u2581",
                                       "<table>", "<div", "ab", "\t\t"]},
    "unknown": {"vocab_size": 700, "byte_fallback": False, "add_dummy_prefix": True},
}
SPECIALS = ["<s>", "<s>a", "<s> a</s>b", "a<s>", "a <s> b </s> ", "<s><s></s>", " <s>", "<s>  x",
            "<s", "<s>\n</s>\n", "I<s>'m</s>\u00e9<s>\u2581x", "</s></s>the end"]


def kind(model, i):
    """GGUF's number for the type of a token."""
    for number, test in ((2, model.is_unknown), (3, model.is_control), (6, model.is_byte),
                         (5, model.is_unused)):
        if test(i):
            return number
    return 1


def table(model, options):
    n = model.get_piece_size()
    tokens = [model.id_to_piece(i) for i in range(n)]
    user = set(options.get("user_defined_symbols", ()))
    return {"tokens": tokens,
            "types": [4 if t in user else kind(model, i) for i, t in enumerate(tokens)],
            "scores": [model.get_score(i) for i in range(n)],
            "bos": model.bos_id(), "eos": model.eos_id(), "unknown": model.unk_id(),
            "add_space_prefix": options["add_dummy_prefix"]}


def fast(tables):
    """The same model for Hugging Face's tokenizers: a merge for every way to make a token."""
    ids = {t: i for i, t in enumerate(tables["tokens"])}
    plain = {t for t, k in zip(tables["tokens"], tables["types"]) if k == 1}
    merges = [(-tables["scores"][ids[t]], ids[t[:i]], ids[t[i:]], t[:i], t[i:]) for t in plain
              for i in range(1, len(t)) if t[:i] in plain and t[i:] in plain]
    tokenizer = Tokenizer(models.BPE(ids, [(m[3], m[4]) for m in sorted(merges)], unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


def main():
    texts = json.loads((DATA / "text/corpus.json").read_text())["texts"]
    lines = [t for t in texts if t.strip() and "\0" not in t]
    lines += (DATA / "golden/text.txt").read_text().splitlines()
    answer = {"made_by": "tools/make_sentencepiece_vectors.py",
              "versions": {"sentencepiece": sentencepiece.__version__,
                           "tokenizers": tokenizers.__version__},
              "specials": SPECIALS, "models": {}}
    for name, options in MODELS.items():
        out = io.BytesIO()
        SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, **COMMON,
                                   **options)
        model = SentencePieceProcessor(model_proto=out.getvalue())
        entry = table(model, options)
        entry["ids"] = [model.encode(t) for t in texts]
        entry["decoded"] = [model.decode(ids) for ids in entry["ids"]]
        if name == "llama":
            hugging_face = fast(entry)
            differ = [t for t, ids in zip(texts, entry["ids"]) if hugging_face.encode(t).ids != ids]
            print("texts that the two libraries cut differently:", differ)
            entry["trusted"] = [hugging_face.encode(t).ids for t in SPECIALS]
        answer["models"][name] = entry
    (DATA / "text/sentencepiece.json").write_text(
        json.dumps(answer, separators=(",", ":")).replace("],[", "],\n[") + "\n")


if __name__ == "__main__":
    main()
