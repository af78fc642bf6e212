"""The files of tests/data/golden: written by make_golden.py, read by compare_llama_cpp.py and
by tests/golden/. All numbers are little-endian.

*.tokens  text: one list of token ids on each line, decimal, separated by spaces.
*.ref     a header and one record for each position of the lists of the .tokens file beside it:
            header: char magic[8] = "MRTGOLD1", u32 n_vocab, n_lists, n_positions, n_top, n_random
            record: f32 logsumexp, i32 top_ids[n_top], f32 top_logits[n_top],
                    f32 random_logits[n_random]
          Top ids come by falling logit, ties by rising id: top_ids[0] is the argmax. The ids of
          random_logits are not stored, see random_ids().
*.nll     f32 -log p(token) of the scored tokens of the .tokens file beside it, where each list is
          a context: positions [n/2, n - 1) give the logits, the next token is scored.
"""

import struct

import numpy as np

MAGIC = b"MRTGOLD1"
HEADER = struct.Struct("<8s5I")
N_TOP, N_RANDOM = 16, 16
N_CONTEXT = 512  # of a perplexity chunk


def record_type(n_top, n_random):
    return np.dtype([("logsumexp", "<f4"), ("top_ids", "<i4", n_top),
                     ("top_logits", "<f4", n_top), ("random_logits", "<f4", n_random)])


def random_ids(n_lists, n_positions, n_random, n_vocab):
    """[n_lists, n_positions, n_random]: splitmix64's output function of
    (list * 65536 + position) * 16 + j, modulo n_vocab."""
    at = np.arange(n_lists, dtype=np.uint64)[:, None, None] * np.uint64(65536)
    at = at + np.arange(n_positions, dtype=np.uint64)[None, :, None]
    x = at * np.uint64(16) + np.arange(n_random, dtype=np.uint64)[None, None, :]
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x % np.uint64(n_vocab)).astype(np.int32)


def make_records(logits, random, logsumexp):
    """logits: [n, n_vocab]; random: ids [n, n_random]; logsumexp: [n]."""
    out = np.empty(len(logits), record_type(N_TOP, random.shape[1]))
    # Sorting candidates by id and then stably by logit leaves ties in order of id.
    top = np.sort(np.argpartition(logits, -N_TOP, axis=1)[:, -N_TOP:], axis=1)
    order = np.argsort(-np.take_along_axis(logits, top, 1), axis=1, kind="stable")
    out["top_ids"] = np.take_along_axis(top, order, 1)
    out["top_logits"] = np.take_along_axis(logits, out["top_ids"], 1)
    out["random_logits"] = np.take_along_axis(logits, random, 1)
    out["logsumexp"] = logsumexp
    return out


def write_records(path, records, n_vocab):
    """records: [n_lists, n_positions]."""
    with open(path, "wb") as out:
        n_lists, n_positions = records.shape
        out.write(HEADER.pack(MAGIC, n_vocab, n_lists, n_positions, N_TOP, N_RANDOM))
        out.write(records.tobytes())


def read_records(path):
    raw = open(path, "rb").read()
    magic, _, n_lists, n_positions, n_top, n_random = HEADER.unpack_from(raw)
    if magic != MAGIC:
        raise ValueError(f"{path}: not a golden file")
    kind = record_type(n_top, n_random)
    return np.frombuffer(raw, kind, offset=HEADER.size).reshape(n_lists, n_positions)


def write_tokens(path, lists):
    with open(path, "w", encoding="ascii") as out:
        for tokens in lists:
            out.write(" ".join(str(t) for t in tokens) + "\n")


def read_tokens(path):
    with open(path, encoding="ascii") as lines:
        return np.array([[int(t) for t in line.split()] for line in lines], np.int32)


def scored(tokens, logits, log_sum_exp):
    """One context: tokens [n], logits of positions [n/2, n - 1). Gives -log p, f64."""
    first = len(tokens) // 2
    picked = np.take_along_axis(logits, np.asarray(tokens)[first + 1:, None], 1)[:, 0]
    return log_sum_exp(logits) - picked.astype(np.float64)
