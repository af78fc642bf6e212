"""Writes a llama model a second time as F32, wider, so that types with blocks of 256 can hold it.

    python3 pad_model.py MODEL OUT [--exact OUT2]

What is added is zero: elements of the hidden state, and whole groups of attention heads, one KV
head with its query heads, behind the others. Added elements stay zero through every layer; what is
left to mend is the mean of squares in the norms, which has a larger divisor: their weights take the
square root of (old width / new width), their epsilon that ratio itself. Logits are the old ones
but for rounding. --exact writes the model as it was, in F32, to compare with. Needs numpy alone.
"""

import argparse
import struct

import numpy as np

from gguf_f32 import F32, Gguf

BLOCK = 256  # elements of the largest block of any type
ALIGNMENT = 32
UINT32, FLOAT32 = 4, 6  # numbers of metadata value types
EPSILON = "llama.attention.layer_norm_rms_epsilon"
# Matrices of a layer by what their outputs and inputs are.
SIDES = {"attn_q": ("heads", "width"), "attn_k": ("kv", "width"), "attn_v": ("kv", "width"),
         "attn_output": ("width", "heads"), "ffn_gate": ("ff", "width"), "ffn_up": ("ff", "width"),
         "ffn_down": ("width", "ff"), "token_embd": ("vocab", "width"),
         "output": ("vocab", "width")}


class Padding:
    """sizes: old and new length of each kind of side that grows."""

    def __init__(self, file):
        meta = file.metadata
        if meta["general.architecture"] != "llama" or "llama.attention.key_length" in meta:
            raise ValueError(f"{file.path}: only llama models whose heads share out their width")
        self.width, self.heads = meta["llama.embedding_length"], meta["llama.attention.head_count"]
        self.kv_heads = meta["llama.attention.head_count_kv"]
        head = self.width // self.heads
        group = self.heads // self.kv_heads
        step = np.lcm(BLOCK, head * group)
        self.new_width = int((self.width + step - 1) // step * step)
        self.new_kv_heads = self.new_width // (head * group)
        self.new_heads = self.new_kv_heads * group
        self.sizes = {"width": (self.width, self.new_width), "heads": (self.width, self.new_width),
                      "kv": (self.kv_heads * head, self.new_kv_heads * head)}
        self.ratio = self.width / self.new_width

    def metadata(self, file):
        changed = {"llama.embedding_length": (UINT32, self.new_width),
                   "llama.attention.head_count": (UINT32, self.new_heads),
                   "llama.attention.head_count_kv": (UINT32, self.new_kv_heads),
                   EPSILON: (FLOAT32, file.metadata[EPSILON] * self.ratio),
                   "general.file_type": (UINT32, 0)}
        forms = {UINT32: "<II", FLOAT32: "<If"}
        return file.encoded | {key: struct.pack(forms[kind], kind, value)
                               for key, (kind, value) in changed.items()}

    def shape(self, name, shape):
        kind = name.removesuffix(".weight").split(".")[-1]
        if len(shape) == 1:
            return [self.new_width]
        outputs, inputs = SIDES[kind]
        return [self.sizes.get(inputs, (0, shape[0]))[1], self.sizes.get(outputs, (0, shape[1]))[1]]

    def tensor(self, name, old):
        new = np.zeros(self.shape(name, old.shape[::-1])[::-1], np.float32)
        new[tuple(slice(n) for n in old.shape)] = old
        return new * np.float32(np.sqrt(self.ratio)) if old.ndim == 1 else new


class Unchanged:
    def metadata(self, file):
        return file.encoded | {"general.file_type": struct.pack("<II", UINT32, 0)}

    def shape(self, _, shape):
        return shape

    def tensor(self, _, old):
        return old


def string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def write(file, out, change):
    """Writes each tensor of `file` as `change` makes it, in F32."""
    metadata = change.metadata(file)
    infos, at = b"", 0
    for name, (shape, _, _) in file.infos.items():
        shape = change.shape(name, shape)
        infos += string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, F32, at)
        at += -(-4 * int(np.prod(shape)) // ALIGNMENT) * ALIGNMENT
    head = struct.pack("<IIQQ", 0x46554747, 3, len(file.infos), len(metadata))
    head += b"".join(string(key) + value for key, value in metadata.items()) + infos
    with open(out, "wb") as to:
        to.write(head + bytes(-len(head) % ALIGNMENT))
        for name in file.infos:
            raw = change.tensor(name, file.tensor(name)).astype("<f4").tobytes()
            to.write(raw + bytes(-len(raw) % ALIGNMENT))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--exact")
    args = parser.parse_args()
    file = Gguf(args.model)
    write(file, args.out, Padding(file))
    if args.exact:
        write(file, args.exact, Unchanged())


if __name__ == "__main__":
    main()
