"""Makes a Hugging Face folder as transformers writes it, and what transformers computes from it.

    python make_hf_folder.py --out ../../tests/data/hf

Written are a llama with random BF16 weights in two shards, a byte-level BPE trained on a few lines,
and expected.json: a text, its tokens, and the logits of its last position in f32.
"""

import argparse
import json
import pathlib
import shutil

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, trainers

LINES = ["The wall is made of bricks.", "A brick has a name and a version.", "12 bricks, 345 walls",
         "the device keeps what is its owner's: the text, the tokens"] * 4
TEXT = "The owner's wall has 27 bricks\n and a name"
TEMPLATE = ("{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + "
            "'<|im_end|>\n' }}{% endfor %}")


def make_tokenizer():
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>")
    fast.chat_template = TEMPLATE
    return fast


def make_model(n_vocab):
    config = transformers.LlamaConfig(
        vocab_size=n_vocab, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        rope_theta=500000.0, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
        initializer_range=0.4,
        rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                      "high_freq_factor": 4.0, "original_max_position_embeddings": 32})
    config._attn_implementation = "eager"
    torch.manual_seed(7)
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter += 0.2 * torch.randn_like(parameter)
    return model.to(torch.bfloat16)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    model = make_model(len(tokenizer) + 5)  # rows that no token has
    model.save_pretrained(args.out, max_shard_size="40KB")
    tokenizer.save_pretrained(args.out)
    tokens = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model.to(torch.float32)(torch.tensor([tokens]), use_cache=False).logits[0, -1]
    expected = {"torch": torch.__version__, "transformers": transformers.__version__,
                "tokenizers": tokenizers.__version__, "text": TEXT, "tokens": tokens,
                "logits": [float(f"{value:.7g}") for value in logits.tolist()]}
    (args.out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"root mean square {logits.pow(2).mean().sqrt():.3f}, {len(tokens)} tokens")


if __name__ == "__main__":
    main()
