"""Writes tests/data/gguf/dequantised.txt: random blocks of every quantised tensor type, and what
the `gguf` package's numpy code makes of them.

It needs PyPI's gguf (and with it numpy). Usage: make_dequantised.py OUT
"""

import platform
import sys
from importlib.metadata import version

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

# Places of halves in a block of each type. Their bits are drawn apart: a random half may be
# infinite or no number.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
          "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0]}
BLOCKS = 3  # of each type: the last one's halves are subnormal


def main(out):
    rng = np.random.default_rng(20251122)
    with open(out, "w", encoding="ascii") as file:
        file.write("# Blocks of GGUF tensors and their elements in f32, as hexadecimal bytes:\n"
                   "# TYPE BLOCK ELEMENTS, in the order and byte order of memory.\n"
                   "# Made by tools/reference/make_dequantised.py: gguf "
                   f"{version('gguf')}, numpy {np.__version__}, "
                   f"python {platform.python_version()}.\n")
        for name, halves in HALVES.items():
            kind = GGMLQuantizationType[name]
            _, n_bytes = GGML_QUANT_SIZES[kind]
            for i in range(BLOCKS):
                block = rng.integers(0, 256, n_bytes, dtype=np.uint8)
                for at in halves:
                    value = rng.uniform(-0.5, 0.5) * (2.0 ** -15 if i == BLOCKS - 1 else 1)
                    block[at:at + 2] = np.array([value], "<f2").view(np.uint8)
                elements = dequantize(block, kind).astype("<f4")
                file.write(f"{name} {block.tobytes().hex()} {elements.tobytes().hex()}\n")


if __name__ == "__main__":
    main(sys.argv[1])
