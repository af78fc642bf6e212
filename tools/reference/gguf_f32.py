"""Reads a GGUF file and gives its tensors in f32.

Part of the reference that Mortar's golden tests are made with. It shares no code with the
engine and none with other programs: python3 and numpy alone. It trusts its input, a model
file whose SHA-256 is written beside the golden data; the engine's reader is the one that
must withstand hostile bytes.

Source: the GGUF specification (ggml-org/ggml, docs/gguf.md).
"""

import hashlib
import struct

import numpy as np

# Numbers of metadata value types: struct format of the scalar ones.
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?",
           10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9

# Tensor types: elements and bytes of one block.
F32, F16, Q4_0, Q4_1, Q8_0, BF16 = 0, 1, 2, 3, 8, 30
BLOCKS = {F32: (1, 4), F16: (1, 2), BF16: (1, 2), Q4_0: (32, 18), Q4_1: (32, 20),
          Q8_0: (32, 34)}


class Cursor:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def scalar(self, form):
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def string(self):
        n = self.scalar("<Q")
        raw = bytes(self.data[self.at:self.at + n])
        self.at += n
        return raw.decode("utf-8", errors="replace")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            item, n = self.scalar("<I"), self.scalar("<Q")
            return [self.value(item) for _ in range(n)]
        return self.scalar(SCALARS[kind])


class Gguf:
    """metadata: key -> value; encoded: key -> the bytes of its type and value. tensor(name): f32
    array, rows first ([outputs, inputs])."""

    def __init__(self, path):
        self.path = path
        self.data = np.memmap(path, dtype=np.uint8, mode="r")
        cursor = Cursor(self.data)
        magic, version = cursor.scalar("<I"), cursor.scalar("<I")
        if magic != 0x46554747 or version not in (2, 3):
            raise ValueError(f"{path}: not a GGUF file of version 2 or 3")
        n_tensors, n_keys = cursor.scalar("<Q"), cursor.scalar("<Q")
        self.metadata, self.encoded = {}, {}
        for _ in range(n_keys):
            key = cursor.string()
            begin = cursor.at
            self.metadata[key] = cursor.value(cursor.scalar("<I"))
            self.encoded[key] = bytes(self.data[begin:cursor.at])
        self.infos = {}
        for _ in range(n_tensors):
            name = cursor.string()
            shape = [cursor.scalar("<Q") for _ in range(cursor.scalar("<I"))]
            self.infos[name] = (shape, cursor.scalar("<I"), cursor.scalar("<Q"))
        align = self.metadata.get("general.alignment", 32)
        self.start = (cursor.at + align - 1) // align * align

    def tensor(self, name):
        shape, kind, offset = self.infos[name]
        per_block, block_bytes = BLOCKS[kind]
        n_blocks = int(np.prod(shape)) // per_block
        begin = self.start + offset
        raw = np.array(self.data[begin:begin + n_blocks * block_bytes])
        return dequantise(raw.reshape(n_blocks, block_bytes), kind).reshape(shape[::-1])

    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()


def dequantise(raw, kind):
    """raw: u8 [n_blocks, block_bytes]. Gives f32 [n_blocks * elements of a block]."""
    if kind == F32:
        return raw.view("<f4").ravel()
    if kind == F16:
        return raw.view("<f2").astype(np.float32).ravel()
    if kind == BF16:
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).ravel()
    d = raw[:, :2].copy().view("<f2").astype(np.float32)
    if kind == Q8_0:
        return (raw[:, 2:].view(np.int8).astype(np.float32) * d).ravel()
    # Nibbles: the low ones are elements 0 to 15 of the block, the high ones 16 to 31.
    packed = raw[:, 2:] if kind == Q4_0 else raw[:, 4:]
    q = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)
    if kind == Q4_0:
        return ((q - np.float32(8)) * d).ravel()
    m = raw[:, 2:4].copy().view("<f2").astype(np.float32)
    return (q * d + m).ravel()
