#!/usr/bin/env python3
"""Holds tests/golden/lora and tests/golden/dpo against peft (PyPI: torch, transformers, peft), and loads adapters that lathe wrote.

    tools/golden/check_peft.py
    tools/golden/check_peft.py --base HF_FOLDER --adapter FOLDER [--chats valid.jsonl]

The first: loss, DPO loss and the gradient of every A and B, in float64 but for transformers' norms and angles, which are float32;
equal to 1e-6 (measured: 3.1e-7 with torch 2.15.0, transformers 5.24.0, peft 0.21.2).  The second: peft finds every tensor of the
file in the model, and leaves none of its own as it was initialised; with --chats, the records that FOLDER's run (train.precision: fp32)
held out, base and adapter give them the loss that the run's metrics.jsonl ends with, to 1e-5, in float32."""
import argparse
import json
import os

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/golden")


def worst(model, golden):
    """The largest relative difference of a gradient."""
    names = {n.replace(".default", ""): p.grad for n, p in model.named_parameters() if p.requires_grad}
    want = {n[len("grad."):]: x for n, x in golden.items() if n.startswith("grad.")}
    assert names.keys() == want.keys(), names.keys() ^ want.keys()
    return max(float((names[n] - want[n]).norm() / want[n].norm()) for n in want)


def load():
    with open(f"{GOLDEN}/llama/config.json") as f:
        c = json.load(f)
    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in c.items() if k not in ("architectures", "torch_dtype")})).double()
    model.load_state_dict({k: v.double() for k, v in load_file(f"{GOLDEN}/llama/model.safetensors").items()})
    return PeftModel.from_pretrained(model, f"{GOLDEN}/lora", is_trainable=True).double()


def check_lora():
    model, inputs, golden = load(), load_file(f"{GOLDEN}/llama/golden.safetensors"), load_file(f"{GOLDEN}/lora/golden.safetensors")
    logits = model(inputs["input_ids"].long()).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), inputs["targets"].flatten().long(), ignore_index=-100)
    loss.backward()
    return abs(loss.item() / float(golden["losses"][0]) - 1), worst(model, golden)


def log_probs(model, g):
    out = []
    for a, b in zip(g["start"][:-1].tolist(), g["start"][1:].tolist()):
        target = g["target"][a:b].long()
        z = model(g["ids"][a:b][None].long()).logits[0].log_softmax(-1)
        out.append(z[target != -100].gather(-1, target[target != -100][:, None]).sum())
    return torch.stack(out)


def check_dpo():
    model, g = load(), load_file(f"{GOLDEN}/dpo/golden.safetensors")
    with torch.no_grad(), model.disable_adapter():
        reference = log_probs(model, g)
    margin = log_probs(model, g) - reference
    loss = -torch.nn.functional.logsigmoid(float(g["beta"][0]) * (margin[0::2] - margin[1::2])).mean()
    loss.backward()
    return abs(loss.item() / float(g["loss"][0]) - 1), worst(model, g)


def encode(tok, messages, end="<|im_end|>"):
    """ids, and for each whether it is learned: of the last message its content and the token that ends it."""
    head = tok.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    whole = tok.apply_chat_template(messages, tokenize=False)
    to = len(head + messages[-1]["content"] + end)
    e = tok(whole, add_special_tokens=False, return_offsets_mapping=True)
    return torch.tensor(e["input_ids"]), torch.tensor([a >= len(head) and b <= to for a, b in e["offset_mapping"]])


def check_loss(model, tok, folder, chats):
    total, n = 0.0, 0
    model.eval()
    with open(chats) as f, torch.no_grad():
        for r in map(json.loads, f):
            ids, learn = encode(tok, r["messages"])
            nll = torch.nn.functional.cross_entropy(model(ids[None]).logits[0, :-1].double(), ids[1:], reduction="none")
            total, n = total + float(nll[learn[1:]].sum()), n + int(learn[1:].sum())
    with open(os.path.join(folder, "metrics.jsonl")) as f:
        ours = [m for m in map(json.loads, f) if "valid_loss" in m][-1]
    print(f"held-out loss over {n} tokens: peft {total / n:.9f}, lathe {ours['valid_loss']:.9f} over {ours['valid_tokens']}, differ by {abs(total / n / ours['valid_loss'] - 1):.1e}")
    assert n == ours["valid_tokens"] and abs(total / n / ours["valid_loss"] - 1) < 1e-5


def check_adapter(base, folder, chats):
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder)
    file = load_file(os.path.join(folder, "adapter_model.safetensors"))
    own = {n.replace(".default", ""): p for n, p in model.named_parameters() if "lora_" in n}
    assert own.keys() == file.keys(), sorted(own.keys() ^ file.keys())[:4]
    assert all(torch.equal(own[n].float(), file[n]) for n in file)
    print(f"{folder}: peft has all of its {len(file)} tensors")
    if chats:
        check_loss(model, AutoTokenizer.from_pretrained(base), folder, chats)


def main():
    arg = argparse.ArgumentParser(description="Checks adapters against peft.")
    arg.add_argument("--base")
    arg.add_argument("--adapter")
    arg.add_argument("--chats")
    args = arg.parse_args()
    torch.set_num_threads(1)
    if args.adapter:
        return check_adapter(args.base, args.adapter, args.chats)
    for name, (loss, grad) in (("lora", check_lora()), ("dpo", check_dpo())):
        print(f"{name}: loss differs by {loss:.1e}, gradients by at most {grad:.1e}")
        assert loss < 1e-6 and grad < 1e-6


if __name__ == "__main__":
    main()
