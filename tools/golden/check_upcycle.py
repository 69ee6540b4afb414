#!/usr/bin/env python3
"""Holds mixtures that `lathe train` makes of dense models to Hugging Face's transformers: they load there, and give the dense model's logits.

    tools/golden/check_upcycle.py [--lathe ./lathe]      needs transformers 5 and its torch

Small random models of Llama, Mistral and Qwen3 are written by transformers, turned into mixtures by a recipe of no steps, and both
read by from_pretrained() in float32."""
import argparse
import json
import os
import subprocess
import tempfile

import torch
import transformers

SIZES = dict(vocab_size=96, hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, initializer_range=0.3)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
CASES = {
    "llama": (transformers.LlamaConfig(**SIZES), "MixtralForCausalLM"),
    "llama_tied_llama3": (transformers.LlamaConfig(**SIZES, tie_word_embeddings=True, rope_parameters=LLAMA3), "MixtralForCausalLM"),
    "mistral_window": (transformers.MistralConfig(**SIZES, sliding_window=9), "MixtralForCausalLM"),
    "qwen3": (transformers.Qwen3Config(**SIZES, head_dim=16), "Qwen3MoeForCausalLM"),
}
RECIPE = """model: {{from: {base}}}
upcycle: {{num_experts: 6, num_experts_per_tok: 3, router_std: 0.5}}
data: {{train: {text}, tokenizer: bytes, valid_share: 0}}
train: {{steps: 0, batch: 1, ctx: 16, warmup: 0}}
"""


def logits(folder, ids):
    model, report = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(report.values()), report
    with torch.no_grad():
        return type(model).__name__, model.eval()(ids).logits.double()


def check(name, lathe, folder):
    config, expected = CASES[name]
    base, out, text, recipe = (os.path.join(folder, name + end) for end in ("-dense", "-mixture", ".txt", ".yaml"))
    torch.manual_seed(1)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(base)
    with open(text, "w") as f:
        f.write("the cat sat on the mat and the dog ran to the house\n" * 20)
    with open(recipe, "w") as f:
        f.write(RECIPE.format(base=base, text=text))
    subprocess.run([lathe, "train", recipe, "--out", out, "--quiet"], check=True)
    ids = torch.randint(0, config.vocab_size, (2, 40))
    kind, mixture = logits(out, ids)
    dense = logits(base, ids)[1]
    error = ((mixture - dense).norm() / dense.norm()).item()
    experts = json.load(open(os.path.join(out, "config.json")))
    print(f"{name}: {kind}, {experts.get('num_local_experts', experts.get('num_experts'))} experts, logits differ by {error:.1e}")
    assert kind == expected and error < 1e-5


def main():
    arg = argparse.ArgumentParser(description="Compares upcycled mixtures with the dense models in transformers.")
    arg.add_argument("--lathe", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lathe"))
    args = arg.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            check(name, args.lathe, folder)


if __name__ == "__main__":
    main()
