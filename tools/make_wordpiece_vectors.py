#!/usr/bin/env python3
"""Makes the stored answers of the WordPiece tokenizer's tests with Hugging Face's tokenizers.

    pip install tokenizers==0.23.3
    tools/make_wordpiece_vectors.py

Trains small models on tests/data/text/corpus.json and tests/data/golden/text.txt with BERT's
normalizer and pre-tokenizer, and writes wordpiece.json beside the corpus: each model's tables as
GGUF has them, and the ids of each text. `trusted` are the ids of the texts of `specials`, where
special tokens count.
"""
import json
import pathlib

import tokenizers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data"
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SPECIALS = ["[CLS]", "a [SEP] b", "[CLS]the[MASK] end[SEP]", "[cls]", "[CLS", "\u00c9[MASK]\u00e9"]
MODELS = {  # lowercase, strip_accents
    "uncased": (True, True),
    "cased": (False, False),
    "accents": (True, False),
}


def stored_text(token):
    """As the GGUF converter writes it: a mark before what begins a word."""
    if token in SPECIAL_TOKENS:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def train(lines, lowercase, strip_accents):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=strip_accents,
        lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(lines, trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=SPECIAL_TOKENS, limit_alphabet=260, show_progress=False))
    return tokenizer


def main():
    texts = json.loads((DATA / "text/corpus.json").read_text())["texts"]
    texts += ["\u0130stanbul \u00c5\u0308x \u1e9e \u03a3\u03a3", "x" * 100, "x" * 101,
              "\u4e00\u4e8c\uf900 \u3042\u3044", "a\u0000b\ufffdc\u0085d\u000be\u200bf\ue000g",
              "a+b $5 \u20ac5 \u00ab q \u00bb \u2014 \u00a1hola!"]
    lines = texts + (DATA / "golden/text.txt").read_text().splitlines()
    answer = {"made_by": "tools/make_wordpiece_vectors.py",
              "versions": {"tokenizers": tokenizers.__version__},
              "texts": texts, "specials": SPECIALS, "models": {}}
    for name, (lowercase, strip_accents) in MODELS.items():
        tokenizer = train(lines, lowercase, strip_accents)
        vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        plain = Tokenizer(models.WordPiece(tokenizer.get_vocab(), unk_token="[UNK]",
                                           max_input_chars_per_word=100))
        plain.normalizer, plain.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
        answer["models"][name] = {
            "lowercase": lowercase, "strip_accents": strip_accents,
            "tokens": [stored_text(t) for t, _ in vocabulary],
            "types": [3 if t in SPECIAL_TOKENS else 1 for t, _ in vocabulary],
            "ids": [plain.encode(t).ids for t in texts],
            "trusted": [tokenizer.encode(t).ids for t in SPECIALS]}
    (DATA / "text/wordpiece.json").write_text(
        json.dumps(answer, separators=(",", ":")).replace("],[", "],\n[") + "\n")


if __name__ == "__main__":
    main()
