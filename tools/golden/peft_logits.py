#!/usr/bin/env python3
"""Writes tests/golden/peft (PyPI: torch, transformers, peft): what peft makes of the Llama of models.py with adapters, in float64.

    tools/golden/peft_logits.py [--out tests/golden/peft]

adapter_config.json, adapter_model.safetensors      written by peft: all seven matrices of a layer, rank 8, B not zero
golden.safetensors      I32 ids [2,32]; F32 logits of every token, [2,32,71]: base; lora, with the adapter of tests/golden/lora;
                        all, with the one written here."""
import argparse
import json
import os

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/golden")


def base():
    with open(f"{GOLDEN}/llama/config.json") as f:
        c = json.load(f)
    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in c.items() if k not in ("architectures", "torch_dtype")})).double()
    model.load_state_dict({k: v.double() for k, v in load_file(f"{GOLDEN}/llama/model.safetensors").items()})
    return model.eval()


def write_adapter(folder):
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(base(), LoraConfig(r=8, lora_alpha=12, target_modules=targets, task_type="CAUSAL_LM", base_model_name_or_path=""))
    rng = torch.Generator().manual_seed(5)
    for name, p in model.named_parameters():
        if ".lora_" in name:
            scale = p.shape[1] ** -0.5 if ".lora_A" in name else 0.1
            p.data = (torch.randn(p.shape, generator=rng, dtype=torch.float64) * scale).float()
    model.save_pretrained(folder)
    if os.path.exists(f"{folder}/README.md"):
        os.remove(f"{folder}/README.md")
    c = json.load(open(f"{folder}/adapter_config.json"))
    c["target_modules"] = sorted(c["target_modules"])      # a set: its order changes from run to run
    json.dump(c, open(f"{folder}/adapter_config.json", "w"), indent=2)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--out", default=f"{GOLDEN}/peft")
    out = args.parse_args().out
    write_adapter(out)
    ids = torch.randint(0, 71, (2, 32), generator=torch.Generator().manual_seed(6))
    golden = {"ids": ids.int()}
    with torch.no_grad():
        golden["base"] = base()(ids).logits.float()
        for name, folder in ("lora", f"{GOLDEN}/lora"), ("all", out):
            golden[name] = PeftModel.from_pretrained(base(), folder).double()(ids).logits.float()
    for name in "lora", "all":
        print(name, "changes logits by at most", float((golden[name] - golden["base"]).abs().max()), "of", float(golden["base"].abs().max()))
    save_file(golden, f"{out}/golden.safetensors")


if __name__ == "__main__":
    main()
