"""The llama architecture in plain f32: the reference of Mortar's golden tests.

Weights are dequantised to f32 and never rounded again; activations are f32 and never
quantised; KV is f32. Whole sequences at once, teacher-forced, with numpy's BLAS for the
products. Sums are in BLAS's order, which differs by CPU: logits repeat to about 1e-4, not to
the bit. Accuracy is what it is for; sameness is tested elsewhere.

Sources: Touvron et al. 2023 (llama); Zhang and Sennrich 2019 (RMSNorm); Su et al. 2021
(RoPE); Ainslie et al. 2023 (GQA); Shazeer 2020 (SwiGLU).
"""

import numpy as np

from gguf_f32 import Gguf

f32 = np.float32
F32, F16, Q8_0, BF16 = 0, 1, 8, 30  # GGUF's numbers of tensor types


class Llama:
    """`activations`: "f32" for the reference. "rounded" rounds the inputs of each product with
    a quantised matrix to blocks of 32 integers with an f32 scale, as rule 3 of docs/numerics.md
    says, and is otherwise the same: it shows how far that rounding alone goes."""

    def __init__(self, path, activations="f32"):
        self.file = Gguf(path)
        self.activations = activations
        meta = self.file.metadata
        if meta["general.architecture"] != "llama":
            raise ValueError(f"{path}: architecture {meta['general.architecture']}, not llama")
        if meta.get("llama.rope.scaling.type", "none") != "none" or \
                "rope_freqs.weight" in self.file.infos:
            raise ValueError(f"{path}: scaled RoPE is not in this reference")
        self.n_layers = meta["llama.block_count"]
        self.n_heads = meta["llama.attention.head_count"]
        self.n_kv_heads = meta.get("llama.attention.head_count_kv", self.n_heads)
        self.n_embd = meta["llama.embedding_length"]
        self.head_dim = meta.get("llama.attention.key_length", self.n_embd // self.n_heads)
        self.rope_dims = meta.get("llama.rope.dimension_count", self.head_dim)
        self.rope_base = meta.get("llama.rope.freq_base", 10000.0)
        self.eps = f32(meta["llama.attention.layer_norm_rms_epsilon"])
        self.weights = {name: self.file.tensor(name) for name in self.file.infos}
        self.head = "output.weight" if "output.weight" in self.weights else "token_embd.weight"
        self.n_vocab = self.weights["token_embd.weight"].shape[0]

    def hidden(self, tokens):
        """tokens: [n]. Gives the normed rows before the head, f32 [n, n_embd]."""
        x = self.weights["token_embd.weight"][np.asarray(tokens)]
        cos, sin = self.rotations(len(tokens))
        for layer in range(self.n_layers):
            p = f"blk.{layer}."
            h = self.norm(x, p + "attn_norm.weight")
            x = x + self.linear(self.attention(h, p, cos, sin), p + "attn_output.weight")
            h = self.norm(x, p + "ffn_norm.weight")
            gate = self.linear(h, p + "ffn_gate.weight")
            up = self.linear(h, p + "ffn_up.weight")
            with np.errstate(over="ignore"):  # exp(-gate) = inf gives the right limit, 0
                silu = gate / (f32(1) + np.exp(-gate))
            x = x + self.linear(silu * up, p + "ffn_down.weight")
        return self.norm(x, "output_norm.weight")

    def logits(self, hidden):
        """hidden: [n, n_embd]. Gives f32 [n, n_vocab]."""
        return self.linear(hidden, self.head)

    def norm(self, x, name):
        scale = f32(1) / np.sqrt(np.mean(x * x, axis=1, keepdims=True, dtype=f32) + self.eps)
        return x * scale * self.weights[name]

    def linear(self, x, name):
        weight_type = self.file.infos[name][1]
        if self.activations == "rounded" and weight_type not in (F32, F16, BF16):
            wide = weight_type == Q8_0 or name.endswith("ffn_down.weight")
            x = round_to_blocks(x, 32767 if wide else 127)
        return x @ self.weights[name].T

    def rotations(self, n):
        """cos and sin of position p and pair i, f32 [n, rope_dims / 2]; angles in f64."""
        frequency = self.rope_base ** (-np.arange(0, self.rope_dims, 2) / self.rope_dims)
        angle = np.arange(n)[:, None] * frequency[None, :]
        return np.cos(angle).astype(f32), np.sin(angle).astype(f32)

    def rotate(self, x, cos, sin):
        """x: [n, heads, head_dim]. Pairs are neighbours (2i, 2i + 1): the converter to GGUF
        permutes the rows of llama's q and k for this order."""
        out = x.copy()
        even, odd = x[:, :, 0:self.rope_dims:2], x[:, :, 1:self.rope_dims:2]
        cos, sin = cos[:, None, :], sin[:, None, :]
        out[:, :, 0:self.rope_dims:2] = even * cos - odd * sin
        out[:, :, 1:self.rope_dims:2] = even * sin + odd * cos
        return out

    def attention(self, h, p, cos, sin):
        n = len(h)
        q = self.linear(h, p + "attn_q.weight").reshape(n, self.n_heads, self.head_dim)
        k = self.linear(h, p + "attn_k.weight").reshape(n, self.n_kv_heads, self.head_dim)
        v = self.linear(h, p + "attn_v.weight").reshape(n, self.n_kv_heads, self.head_dim)
        q, k = self.rotate(q, cos, sin), self.rotate(k, cos, sin)
        out = np.empty((n, self.n_heads, self.head_dim), f32)
        future = np.triu(np.ones((n, n), bool), 1)
        for head in range(self.n_heads):
            shared = head // (self.n_heads // self.n_kv_heads)
            scores = q[:, head] @ k[:, shared].T * f32(1 / np.sqrt(self.head_dim))
            scores[future] = -np.inf
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=1, keepdims=True)
            out[:, head] = scores @ v[:, shared]
        return out.reshape(n, self.n_heads * self.head_dim)


def round_to_blocks(x, largest):
    """x: [n, k], k a multiple of 32. Each block of 32 as integers times an f32 scale, as f32."""
    blocks = x.reshape(len(x), -1, 32)
    amax = np.abs(blocks).max(axis=2, keepdims=True)
    live = amax >= f32(2) ** f32(-100)
    safe = np.where(live, amax, f32(1))
    q = np.rint(blocks * (f32(largest) / safe))
    return np.where(live, q * (safe / f32(largest)), f32(0)).reshape(x.shape).astype(f32)


def log_sum_exp(logits):
    """logits: [n, n_vocab]. f64 [n]: an evaluation, not part of the model."""
    top = logits.max(axis=1, keepdims=True).astype(np.float64)
    return (top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True)))[:, 0]
