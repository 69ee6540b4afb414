#!/usr/bin/env python3
"""Holds tests/golden to Hugging Face's transformers: logits, losses, router losses and gradients.

    tools/golden/check_transformers.py [--golden tests/golden]      needs transformers 5 and its torch

The models are read by from_pretrained(), so that config.json, names and layouts are checked as well.  transformers
computes norms, softmax, the router and RoPE's angles in float32 even in a float64 model.  Here "float" and "float32"
mean float64 in its modelling files, so that every case agrees to the last digits of float64; run unwidened with
--float32, the same cases agree to about 1e-6."""
import argparse
import importlib
import os
import re
import types

import numpy as np
import torch
import torch.nn.functional as F
import transformers

from models import CASES, IGNORED, load_safetensors

CLASSES = {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM", "mixtral": "MixtralForCausalLM", "olmoe": "OlmoeForCausalLM",
           "qwen3_moe": "Qwen3MoeForCausalLM"}


class WideTorch(types.ModuleType):
    """torch, but with float and float32 meaning float64."""
    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def modelling(family, widen):
    module = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    if widen:
        module.torch = WideTorch("torch")
        torch.Tensor.float = torch.Tensor.double
    return module


def load(module, folder, family):
    """eval(): the checks are of a model without dropout, and Mixtral's router would add noise."""
    model, report = getattr(module, CLASSES[family]).from_pretrained(
        folder, attn_implementation="eager", experts_implementation="eager", dtype=torch.float64, output_loading_info=True)
    assert not any(report.values()), report
    return model.eval()


def gradient(params, name):
    """The gradient of one tensor of the file; transformers 5 keeps the experts of a layer as one block."""
    name = name.replace("block_sparse_moe", "mlp")
    m = re.fullmatch(r"(.*\.experts\.)(\d+)\.(\w+)\.weight", name)
    if not m:
        return params[name].grad
    block, expert, part = m[1], int(m[2]), m[3]
    if part in ("w2", "down_proj"):
        return params[block + "down_proj"].grad[expert]
    gate, up = params[block + "gate_up_proj"].grad[expert].chunk(2)
    return gate if part in ("w1", "gate_proj") else up


def check(name, folder, widen):
    golden = load_safetensors(f"{folder}/golden.safetensors")
    c = CASES[name]["config"]
    module = modelling(name, widen)
    model = load(module, folder, name)
    model.get_input_embeddings().padding_idx = None          # theirs has no gradient of a pad token's row; in a text it is a token as others
    moe = "loss_lb" in golden
    out = model(input_ids=torch.tensor(golden["input_ids"]).long(), use_cache=False, **({"output_router_logits": True} if moe else {}))
    targets = torch.tensor(golden["targets"]).long()
    loss = total = F.cross_entropy(out.logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    worst = {}

    def compare(what, found, expected):
        found = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
        error = np.abs(found - expected).max() / max(1e-3, np.abs(expected).max())
        worst[what] = max(worst.get(what, 0), error)

    if moe:
        n_expert, top_k = c.get("num_local_experts", c.get("num_experts")), c["num_experts_per_tok"]
        # One layer at a time, as theirs averages f and P over layers; theirs counts per token, ours per choice.
        lb = [module.load_balancing_loss_func((r,), n_expert, top_k) / top_k for r in out.router_logits]
        z = [(r.logsumexp(-1) ** 2).mean() for r in out.router_logits]
        compare("loss_lb", torch.stack(lb), golden["loss_lb"])
        compare("loss_z", torch.stack(z), golden["loss_z"])
        for i, r in enumerate(out.router_logits):
            count = torch.bincount(r.topk(top_k)[1].flatten(), minlength=n_expert)
            assert count.tolist() == golden[f"expert_count.{i}"].tolist()
        total = loss + c.get("router_aux_loss_coef", 0) * sum(lb) + c.get("router_z_loss_coef", 0) * sum(z)
    total.backward()
    compare("logits", out.logits, golden["logits"])
    compare("loss", loss.reshape(1), golden["loss"])
    compare("loss_total", total.reshape(1), golden["loss_total"])
    params = dict(model.named_parameters())
    n_element = 0
    for key in golden:
        if key.startswith("grad."):
            compare("gradients", gradient(params, key[len("grad."):]), golden[key])
            n_element += golden[key].size
    assert n_element == sum(p.numel() for p in params.values()), "a parameter has no golden gradient"
    print(f"{name}: worst relative error", ", ".join(f"{what} {e:.1e}" for what, e in worst.items()))
    return max(worst.values())


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    arg = argparse.ArgumentParser(description="Compares tests/golden with transformers.")
    arg.add_argument("--golden", default=os.path.join(here, "../../tests/golden"))
    arg.add_argument("--float32", action="store_true", help="leave transformers' float32 islands as they are")
    args = arg.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    worst = max(check(name, os.path.join(args.golden, name), not args.float32) for name in CLASSES)
    limit = 1e-5 if args.float32 else 1e-12
    if worst > limit:
        raise SystemExit(f"worst error {worst:.1e}, expected at most {limit:.0e}")


if __name__ == "__main__":
    main()
