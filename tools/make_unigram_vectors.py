#!/usr/bin/env python3
"""Makes the stored answers of the Unigram tokenizer's tests with SentencePiece and with Hugging
Face's tokenizers.

    pip install sentencepiece==0.2.3 tokenizers==0.23.3 protobuf==7.36.2
    tools/make_unigram_vectors.py

Trains small models on tests/data/text/corpus.json and tests/data/golden/text.txt, in the ways that
model families differ: `t5` (nmt_nfkc, no bytes), `bytes` (byte fallback and user-defined tokens),
`plain` (no characters replaced, spaces kept). Writes beside the corpus nmt_nfkc.charsmap, the
library's own table, and unigram.json: each model's tables as GGUF has them, and for each text
`ids` and `decoded` by SentencePiece. `hugging_face` has for each pipeline that families write into
tokenizer.json the ids that differ from those: text by number, and ids.
"""
import base64
import io
import json
import pathlib

import google.protobuf
import sentencepiece
import tokenizers
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer, sentencepiece_model_pb2
from tokenizers import Tokenizer

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data"
COMMON = {
    "model_type": "unigram", "vocab_size": 2000, "character_coverage": 0.985,
    "hard_vocab_limit": False, "num_threads": 1, "max_sentence_length": 100000, "minloglevel": 2}
MODELS = {
    "t5": {"normalization_rule_name": "nmt_nfkc", "byte_fallback": False,
           "control_symbols": ["<extra_id_0>"]},
    "bytes": {"normalization_rule_name": "nmt_nfkc", "byte_fallback": True,
              "user_defined_symbols": ["<table>", "ab", "\u2581\u2581", "\ufb01"]},
    "plain": {"normalization_rule_name": "identity", "byte_fallback": False,
              "add_dummy_prefix": False, "remove_extra_whitespaces": False,
              "split_by_whitespace": False},
}
# Beside the corpus: what replacing characters, merging spaces and unknown characters turn on.
TEXTS = [
    "\ufb01ne of\ufb01ce \ufb03 \u2460\u2461 \uff21\uff22\uff23 \u212b \ufdfa",
    "\uff76\uff9e\uff77\uff9e \u30ab\u3099 \u1100\u1161\u11a8", "\u2581a\u2581\u2581b \u2581 c",
    "a\u2581", " \u3000 a \u00a0 b \u2003", "\u3000", "x\u0007y\u007fz\u0000w", "\ufeffx\u200b y",
    "\U0001f9f1\U0001f9f1 \U0001f9f1 x \u16a0\u16a1\u16a2 \u16a0 y", "<table>ab</table> ab cab",
    "<s> </s> <0x41> <extra_id_0>", "e\u0301\u0323 \u1e69 s\u0323\u0307 \u0344",
    "The wall  of\n\nbricks\tstands.  ", "\u4e00\u4e8c\u4e09\u3001\u58c1\u3002"]
SPECIALS = ["</s>", "the </s> wall", "<extra_id_0> a <extra_id_0>  b</s>", "<extra_id_0",
            " </s>  x", "The<extra_id_0>wall </s>"]


def precompiled(charsmap):
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def metaspace(scheme):
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": True}


# Normaliser and pre-tokenizer of the families' tokenizer.json, without the charsmap.
PIPELINES = {
    "t5": (["charsmap"],
           {"type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("always")]}),
    "t5_new": (["charsmap", {"type": "Strip", "strip_left": False, "strip_right": True},
                replace({"Regex": " {2,}"}, "\u2581")], metaspace("first")),
    "bge": (["charsmap", replace({"Regex": " {2,}"}, " ")], metaspace("always")),
    "albert": ([replace({"String": "``"}, '"'), replace({"String": "''"}, '"'),
                {"type": "Lowercase"}, "charsmap"], metaspace("always")),
    "trained": ([{"type": "Nmt"}, {"type": "NFKC"}, replace({"Regex": " {2,}"}, " ")],
                metaspace("never")),
    "apart": ([{"type": "NFKD"}, {"type": "Strip", "strip_left": True, "strip_right": False}],
              metaspace("always")),
}


def kind(piece):
    """GGUF's numbers for the types of tokens are SentencePiece's."""
    return piece.type


def table(proto):
    special = {piece.piece: i for i, piece in enumerate(proto.pieces)}
    return {"tokens": [piece.piece for piece in proto.pieces],
            "types": [kind(piece) for piece in proto.pieces],
            "scores": [piece.score for piece in proto.pieces],
            "eos": special["</s>"], "unknown": special["<unk>"],
            "add_space_prefix": proto.normalizer_spec.add_dummy_prefix,
            "remove_extra_whitespaces": proto.normalizer_spec.remove_extra_whitespaces,
            "has_charsmap": bool(proto.normalizer_spec.precompiled_charsmap)}


def hugging_face(tables, pipeline, charsmap):
    """A tokenizer.json as transformers writes it. User-defined tokens would be cut out before."""
    steps, cutter = PIPELINES[pipeline]
    steps = [precompiled(charsmap) if step == "charsmap" else step for step in steps]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for i, (text, kind) in enumerate(zip(tables["tokens"], tables["types"]))
            if kind in (2, 3)],
        "normalizer": {"type": "Sequence", "normalizers": steps}, "pre_tokenizer": cutter,
        "post_processor": None, "decoder": metaspace("always"),
        "model": {"type": "Unigram", "unk_id": tables["unknown"], "byte_fallback": False,
                  "vocab": [list(pair) for pair in zip(tables["tokens"], tables["scores"])]}}


def train(lines, options):
    out = io.BytesIO()
    SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, **COMMON, **options)
    proto = sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())
    return SentencePieceProcessor(model_proto=out.getvalue()), proto


def main():
    corpus = json.loads((DATA / "text/corpus.json").read_text())["texts"]
    lines = [t for t in corpus if t.strip() and "\0" not in t]
    lines += (DATA / "golden/text.txt").read_text().splitlines()
    texts = corpus + TEXTS
    answer = {"made_by": "tools/make_unigram_vectors.py",
              "versions": {"sentencepiece": sentencepiece.__version__,
                           "tokenizers": tokenizers.__version__,
                           "protobuf": google.protobuf.__version__},
              "texts": TEXTS, "specials": SPECIALS, "models": {}, "hugging_face": {}}
    for name, options in MODELS.items():
        model, proto = train(lines, options)
        entry = table(proto)
        entry["ids"] = [model.encode(t) for t in texts]
        entry["decoded"] = [model.decode(ids) for ids in entry["ids"]]
        answer["models"][name] = entry
        if name == "t5":
            charsmap = proto.normalizer_spec.precompiled_charsmap
            (DATA / "text/nmt_nfkc.charsmap").write_bytes(charsmap)
    tables = answer["models"]["t5"]
    for pipeline, (steps, cutter) in PIPELINES.items():
        tokenizer = Tokenizer.from_str(json.dumps(hugging_face(tables, pipeline, charsmap)))
        ids = [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
        answer["hugging_face"][pipeline] = {
            "normalizers": steps, "pre_tokenizer": cutter,
            "ids": {i: mine for i, (mine, its) in enumerate(zip(ids, tables["ids"]))
                    if mine != its},
            "trusted": [tokenizer.encode(t, add_special_tokens=False).ids for t in SPECIALS]}
    (DATA / "text/unigram.json").write_text(
        json.dumps(answer, separators=(",", ":")).replace("],[", "],\n[") + "\n")


if __name__ == "__main__":
    main()
