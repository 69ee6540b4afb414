#!/usr/bin/env python3
"""Holds tests/golden/lathe_gpt to nanoGPT: the same weights in its model.py give the same logits, loss and gradients.

    tools/golden/check_nanogpt.py <model.py of karpathy/nanoGPT> [--golden tests/golden]

The names differ, and q, k and v are rows of one matrix there."""
import argparse
import importlib.util
import os

import numpy as np
import torch

from models import CASES, load_safetensors

TOLERANCE = 1e-12
ATTENTION = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
PARTS = {"ln_1": ["input_layernorm"], "attn.c_attn": ATTENTION, "attn.c_proj": ["self_attn.o_proj"],
         "ln_2": ["post_attention_layernorm"], "mlp.c_fc": ["mlp.up_proj"], "mlp.c_proj": ["mlp.down_proj"]}


def our_names(name):
    """The weights of ours that nanoGPT's parameter consists of, in order of rows."""
    outside = {"transformer.wte.weight": "model.embed_tokens.weight", "transformer.wpe.weight": "model.embed_positions.weight",
               "transformer.ln_f.weight": "model.norm.weight"}
    if name in outside:
        return [outside[name]]
    _, _, layer, rest = name.split(".", 3)
    return [f"model.layers.{layer}.{part}.weight" for part in PARTS[rest[:-len(".weight")]]]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    arg = argparse.ArgumentParser(description="Compares tests/golden/lathe_gpt with nanoGPT.")
    arg.add_argument("model")
    arg.add_argument("--golden", default=os.path.join(here, "../../tests/golden"))
    args = arg.parse_args()
    spec = importlib.util.spec_from_file_location("nanogpt_model", args.model)
    nanogpt = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nanogpt)

    c = CASES["lathe_gpt"]["config"]
    weights = load_safetensors(f"{args.golden}/lathe_gpt/model.safetensors")
    golden = load_safetensors(f"{args.golden}/lathe_gpt/golden.safetensors")
    model = nanogpt.GPT(nanogpt.GPTConfig(
        block_size=c["max_position_embeddings"], vocab_size=c["vocab_size"], n_layer=c["num_hidden_layers"],
        n_head=c["num_attention_heads"], n_embd=c["hidden_size"], bias=False)).double()
    # Its MLP is 4 times as wide as the stream, always; ours is not.
    for block in model.transformer.h:
        block.mlp.c_fc.weight = torch.nn.Parameter(torch.empty(c["intermediate_size"], c["hidden_size"]).double())
        block.mlp.c_proj.weight = torch.nn.Parameter(torch.empty(c["hidden_size"], c["intermediate_size"]).double())
    params = dict(model.named_parameters())
    with torch.no_grad():
        for name, p in params.items():
            p.copy_(torch.tensor(np.concatenate([weights[n] for n in our_names(name)])))
    logits, loss = model(torch.tensor(golden["input_ids"]).long(), torch.tensor(golden["targets"]).long())
    loss.backward()
    errors = {"logits": np.abs(logits.detach().numpy() - golden["logits"]).max(), "loss": abs(loss.item() - golden["loss"][0])}
    expected = {name: np.concatenate([golden["grad." + n] for n in our_names(name)]) for name in params}
    errors["gradients"] = max(np.abs(p.grad.numpy() - expected[name]).max() for name, p in params.items())
    print("lathe_gpt: worst error", ", ".join(f"{what} {e:.1e}" for what, e in errors.items()))
    if max(errors.values()) > TOLERANCE:
        raise SystemExit(f"expected at most {TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
