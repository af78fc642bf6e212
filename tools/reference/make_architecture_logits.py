"""Makes the reference logits of the tiny models: Hugging Face transformers, f32, eager attention.

    python make_architecture_logits.py --models FOLDER --out ../../tests/data/architectures

FOLDER holds what write_tiny_models wrote; encoders are make_encoder_rows.py's. Each GGUF's weights
are laid out as transformers wants them, undoing what the conversion to GGUF does: q and k of llama
and mistral are permuted there for neighbouring pairs, and gemma's norms are stored with the 1 that
its code adds. Written are NAME.f32, the logits [tokens, vocabulary] of the tokens (7 + 11 i) mod
288, and versions.json.
"""

import numpy as np
import torch
import transformers

from references import write_references

FAMILIES = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    "phi3": (transformers.Phi3Config, transformers.Phi3ForCausalLM),
    "gemma2": (transformers.Gemma2Config, transformers.Gemma2ForCausalLM),
    "gemma3": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM),
}
# Tensors of a layer: GGUF's name, transformers' name. Gemma's norms have other names.
LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias",
    "attn_k.bias": "self_attn.k_proj.bias",
    "attn_v.bias": "self_attn.v_proj.bias",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "attn_qkv.weight": "self_attn.qkv_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
GEMMA_LAYER = LAYER | {
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
}
PHI3_LAYER = LAYER | {"ffn_up.weight": "mlp.gate_up_proj.weight"}
TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
       "output.weight": "lm_head.weight"}


class Reference:
    """One file and the transformers model with its weights."""

    def __init__(self, file):
        self.file = file
        self.family = self.file.metadata["general.architecture"]
        self.tied = "output.weight" not in self.file.infos
        config_class, model_class = FAMILIES[self.family]
        config = config_class(**self.config())
        config._attn_implementation = "eager"
        self.model = model_class(config).to(torch.float32).eval()
        missing, unexpected = self.model.load_state_dict(self.state(), strict=False)
        if unexpected or [name for name in missing if name != "lm_head.weight" or not self.tied]:
            raise ValueError(f"{file.path}: missing {missing}, unexpected {unexpected}")
        self.model.tie_weights()
        if "rope_freqs.weight" in self.file.infos:
            factors = torch.from_numpy(self.file.tensor("rope_freqs.weight").reshape(-1).copy())
            self.model.model.rotary_emb.inv_freq /= factors

    def key(self, name, absent=None):
        return self.file.metadata.get(f"{self.family}.{name}", absent)

    def head_dim(self):
        return self.key("attention.key_length",
                        self.key("embedding_length") // self.key("attention.head_count"))

    def config(self):
        config = dict(
            vocab_size=self.key("vocab_size"), hidden_size=self.key("embedding_length"),
            intermediate_size=self.key("feed_forward_length"),
            num_hidden_layers=self.key("block_count"),
            num_attention_heads=self.key("attention.head_count"),
            num_key_value_heads=self.key("attention.head_count_kv"),
            max_position_embeddings=self.key("context_length"),
            rms_norm_eps=self.key("attention.layer_norm_rms_epsilon"),
            rope_theta=self.key("rope.freq_base"), tie_word_embeddings=self.tied,
            head_dim=self.head_dim(), bos_token_id=1, eos_token_id=2, pad_token_id=0)
        if self.family == "phi3":
            del config["head_dim"]
        if self.key("rope.scaling.type") == "linear":
            config["rope_scaling"] = {"rope_type": "linear",
                                      "factor": self.key("rope.scaling.factor")}
        if self.key("attention.sliding_window"):
            config["sliding_window"] = self.key("attention.sliding_window")
        if self.family == "phi3":
            config["partial_rotary_factor"] = self.key("rope.dimension_count") / self.head_dim()
            config["original_max_position_embeddings"] = self.key(
                "rope.scaling.original_context_length")
            config["rope_scaling"] = {"type": "longrope"} | {
                f"{kind}_factor":
                    [float(f) for f in self.file.tensor(f"rope_factors_{kind}.weight").reshape(-1)]
                for kind in ("short", "long")}
        if self.family.startswith("gemma"):
            config["query_pre_attn_scalar"] = self.head_dim()
            config["attn_logit_softcapping"] = self.key("attn_logit_softcapping")
            config["final_logit_softcapping"] = self.key("final_logit_softcapping")
        if self.family == "gemma3":
            config["rope_local_base_freq"] = 10000.0
        return config

    def state(self):
        state = {}
        for name in self.file.infos:
            if name.startswith("rope_"):
                continue
            weight = self.file.tensor(name)
            if name in TOP:
                target = TOP[name]
            else:
                _, layer, rest = name.split(".", 2)
                names = {"gemma2": GEMMA_LAYER, "gemma3": GEMMA_LAYER,
                         "phi3": PHI3_LAYER}.get(self.family, LAYER)
                target = f"model.layers.{layer}.{names[rest]}"
            if self.family in ("llama", "mistral") and target.endswith(("q_proj.weight",
                                                                        "k_proj.weight")):
                weight = unpermute(weight, self.head_dim())
            if "norm" in name:
                weight = weight.reshape(-1)
                if self.family.startswith("gemma"):
                    weight = weight - np.float32(1)
            if name.endswith(".bias"):
                weight = weight.reshape(-1)
            state[target] = torch.from_numpy(np.ascontiguousarray(weight))
        return state

    def logits(self, tokens):
        with torch.no_grad():
            return self.model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()


def unpermute(weight, head_dim):
    """Rows of each head from pairs of neighbours, (2 i, 2 i + 1), to halves, (i, i + d / 2)."""
    heads = weight.reshape(-1, head_dim // 2, 2, weight.shape[1])
    return heads.swapaxes(1, 2).reshape(weight.shape)


if __name__ == "__main__":
    write_references(FAMILIES, lambda file, tokens: Reference(file).logits(tokens))
