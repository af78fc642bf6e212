"""Makes the reference rows of the tiny encoders: Hugging Face transformers, f32, eager attention.

    python make_encoder_rows.py --models FOLDER --out ../../tests/data/encoders

FOLDER holds what write_tiny_models wrote; files of decoders are passed over. Written are NAME.f32,
the last layer's rows [tokens, n_embd] of the tokens (7 + 11 i) mod 288, and versions.json. What
pools them is so short that the test has it a second time.
"""

import numpy as np
import torch
import transformers

from references import write_references

FAMILIES = {
    "bert": (transformers.BertConfig, transformers.BertModel),
    "nomic-bert": (transformers.NomicBertConfig, transformers.NomicBertModel),
}
# GGUF's name, transformers' name.
TOP = {
    "token_embd.weight": "embeddings.word_embeddings.weight",
    "token_types.weight": "embeddings.token_type_embeddings.weight",
    "position_embd.weight": "embeddings.position_embeddings.weight",
    "token_embd_norm.weight": "embeddings.LayerNorm.weight",
    "token_embd_norm.bias": "embeddings.LayerNorm.bias",
}
LAYERS = {"bert": "encoder.layer", "nomic-bert": "layers"}
LAYER = {
    "bert": {
        "attn_q": "attention.self.query",
        "attn_k": "attention.self.key",
        "attn_v": "attention.self.value",
        "attn_output": "attention.output.dense",
        "attn_output_norm": "attention.output.LayerNorm",
        "ffn_up": "intermediate.dense",
        "ffn_down": "output.dense",
        "layer_output_norm": "output.LayerNorm",
    },
    "nomic-bert": {
        "attn_output": "self_attn.o_proj",
        "attn_output_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "layer_output_norm": "post_mlp_layernorm",
    },
}


class Reference:
    """One file and the transformers model with its weights."""

    def __init__(self, file):
        self.file = file
        self.family = file.metadata["general.architecture"]
        config_class, model_class = FAMILIES[self.family]
        config = config_class(**self.config())
        config._attn_implementation = "eager"
        self.model = model_class(config, add_pooling_layer=False).to(torch.float32).eval()
        missing, unexpected = self.model.load_state_dict(self.state(), strict=False)
        if missing or unexpected:
            raise ValueError(f"{file.path}: missing {missing}, unexpected {unexpected}")

    def key(self, name):
        return self.file.metadata[f"{self.family}.{name}"]

    def config(self):
        config = dict(
            vocab_size=self.file.infos["token_embd.weight"][0][1],
            hidden_size=self.key("embedding_length"),
            intermediate_size=self.key("feed_forward_length"),
            num_hidden_layers=self.key("block_count"),
            num_attention_heads=self.key("attention.head_count"),
            max_position_embeddings=self.key("context_length"),
            type_vocab_size=self.file.infos["token_types.weight"][0][1],
            layer_norm_eps=self.key("attention.layer_norm_epsilon"), pad_token_id=0)
        if self.family == "bert":
            config["hidden_act"] = "gelu"  # by its definition, with erf
        else:
            config["rope_parameters"] = {"rope_type": "default",
                                         "rope_theta": self.key("rope.freq_base")}
        return config

    def state(self):
        state = {}
        for name in self.file.infos:
            weight = self.file.tensor(name)
            if name.endswith(".bias") or "norm" in name:
                weight = weight.reshape(-1)
            for target, part in self.targets(name, weight):
                state[target] = torch.from_numpy(np.ascontiguousarray(part))
        return state

    def targets(self, name, weight):
        if name in TOP:
            return [(TOP[name], weight)]
        _, layer, tensor, kind = name.split(".")
        prefix = f"{LAYERS[self.family]}.{layer}."
        if tensor == "attn_qkv":
            parts = np.split(weight, 3)
            return [(f"{prefix}self_attn.{to}_proj.{kind}", part) for to, part in zip("qkv", parts)]
        return [(f"{prefix}{LAYER[self.family][tensor]}.{kind}", weight)]

    def rows(self, tokens):
        with torch.no_grad():
            return self.model(torch.tensor([tokens])).last_hidden_state[0].numpy()


if __name__ == "__main__":
    write_references(FAMILIES, lambda file, tokens: Reference(file).rows(tokens))
