#!/usr/bin/env python3
"""Writes gradients.safetensors beside the models of tests/golden/families: the loss and all its gradients by transformers.

    tools/golden/gradients.py [--golden tests/golden/families] [case ...]

Needs PyPI's torch and transformers.  A file has
  loss        F64 [1], the mean of -log p(next token) over both prompts of golden.safetensors, each prompt alone
  <tensor>    F32, the derivative of the loss by this tensor of model.safetensors, in its name and layout
metadata made_with: the versions

All is float64, also where transformers' code says float32 (norms, routers, angles): there "float" and "float32" are made to
mean float64.  No router loss is added.  Names and layouts are those that save_pretrained() gives a model whose parameters
were replaced by their gradients; what is no parameter (corrections of a router) has none."""
import argparse
import importlib
import os
import tempfile

import safetensors.torch
import torch
import torch.nn.functional as F
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

from check_transformers import WideTorch

# One of each family at least, but those with gradients in models.py, and not where the angles follow the prompt's length, nor
# gpt_oss, whose weights are so large that transformers' own float32 is off by 1.8e-5 (gpt_oss_tied: 4e-6).
CASES = """
    mistral_window qwen2_window qwen2_moe_window qwen3_window qwen3_moe olmo_clip olmo2 gemma gemma2 gemma3_text phi3_window_tied
    smollm3_tied gpt_neox gpt_oss_tied deepseek_v2 deepseek_v2_groups_tied deepseek_v3 deepseek_v3_halves_tied
""".split()


def widen(model_type):
    """float64 in the modelling file of this family, and in what all of them share."""
    name = model_type.removesuffix("_text")
    modules = [importlib.import_module(f"transformers.models.{name}.modeling_{name}"),
               importlib.import_module("transformers.modeling_rope_utils")]
    for module in modules:
        module.torch = WideTorch("torch")
    torch.Tensor.float = torch.Tensor.double


def load(folder):
    widen(AutoConfig.from_pretrained(folder).model_type)
    model, notes = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64, output_loading_info=True)
    assert not any(notes[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), notes
    model.set_experts_implementation("eager")
    return model.eval()                             # without dropout and noise


def gradients(model, prompts):
    n_target = sum(len(ids) - 1 for ids in prompts)
    loss = 0
    for ids in prompts:
        logits = model(input_ids=ids[None], use_cache=False).logits[0]
        assert logits.dtype == torch.float64
        loss = loss + F.cross_entropy(logits[:-1], ids[1:], reduction="sum") / n_target
    loss.backward()
    return loss.detach()


def in_layout_of_the_file(model, files):
    """The gradients by the names of the files."""
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.grad)
    names = {n for n, _ in model.named_buffers()}
    with tempfile.TemporaryDirectory() as work:
        model.save_pretrained(work)
        saved = safetensors.torch.load_file(f"{work}/model.safetensors")
    saved = {n: t.to(torch.float32).contiguous() for n, t in saved.items() if n not in names}
    for n, t in saved.items():
        assert files[n].shape == t.shape and torch.isfinite(t).all(), n
        assert t.abs().max() > 0 or ".experts." in n, n                 # an expert may have no token
    assert set(files) - set(saved) <= names
    return saved


def make(case, folder):
    model = load(folder)
    golden = safetensors.torch.load_file(f"{folder}/golden.safetensors")
    loss = gradients(model, [golden[f"ids.{i}"].long() for i in range(2)])
    out = in_layout_of_the_file(model, safetensors.torch.load_file(f"{folder}/model.safetensors"))
    made = {"made_with": f"transformers {transformers.__version__}, torch {torch.__version__}"}
    safetensors.torch.save_file({"loss": loss.reshape(1), **out}, f"{folder}/gradients.safetensors", metadata=made)
    print(f"{case:26} loss {loss.item():.6f}, {len(out)} tensors", flush=True)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--golden", default=os.path.join(here, "../../tests/golden/families"))
    p.add_argument("case", nargs="*")
    args = p.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    for case in args.case or CASES:
        make(case, os.path.join(args.golden, case))


if __name__ == "__main__":
    main()
