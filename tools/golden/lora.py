#!/usr/bin/env python3
"""Writes tests/golden/lora and tests/golden/dpo: adapters on the Llama of models.py, by torch in float64.

    tools/golden/lora.py [--out tests/golden]

The weight that the model is run with is W + scale * B A, made from A and B as leaves, so that gradients are autograd's through
the product of the two and not through two products of tokens.  Inputs and the base are those of tests/golden/llama.

lora/  adapter_config.json, adapter_model.safetensors      as peft writes them; q, k, v, o and down, rank 3, rsLoRA, B not zero
       golden.safetensors   F64 loss [1], grad.<name> of the first step; F64 losses, norms [20] and after.<name> of 20 steps of
                            torch.optim.AdamW with clipping
dpo/   golden.safetensors   I32 ids [n], start [2P+1]: sequences chosen 0, rejected 0, chosen 1, ...; I32 target [n], -100: not counted;
                            F64 reference, policy [2P]: sums of log-probabilities; loss [1]; chosen, rejected [P]: rewards; grad.<name>
       The adapter is lora/'s, the reference the base.  loss = -mean log sigmoid(beta * (policy's margin - reference's margin)),
       arXiv:2305.18290.
check_peft.py holds both against peft."""
import argparse
import math
import os

import numpy as np
import torch

import models

RANK, ALPHA, BETA = 3, 5.0, 0.3
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"]
OPTIM = {"steps": 20, "lr": 3e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01, "clip": 0.9}
PREFIX = "base_model.model."


def scale():
    return ALPHA / math.sqrt(RANK)


def modules(weights):
    return [n[:-len(".weight")] for n in weights if n.endswith(".weight") and n[:-len(".weight")].split(".")[-1] in TARGETS]


def draw_adapter(weights):
    rng, a = np.random.RandomState(21), {}
    for m in modules(weights):
        n, k = weights[m + ".weight"].shape
        a[f"{PREFIX}{m}.lora_A.weight"] = (rng.uniform(-1, 1, (RANK, k)) / math.sqrt(k)).astype(np.float32)
        a[f"{PREFIX}{m}.lora_B.weight"] = (0.05 * rng.standard_normal((n, RANK))).astype(np.float32)
    return a


def logits(c, base, adapter, ids):
    w = dict(base)
    for m in modules(base) if adapter else []:
        w[m + ".weight"] = w[m + ".weight"] + scale() * adapter[f"{PREFIX}{m}.lora_B.weight"] @ adapter[f"{PREFIX}{m}.lora_A.weight"]
    return models.llama_logits(w, c, ids, [])


def leaves(adapter):
    return {n: torch.tensor(x, dtype=torch.float64, requires_grad=True) for n, x in adapter.items()}


def write_lora(folder, c, base, adapter, ids, targets):
    a = leaves(adapter)
    optim = torch.optim.AdamW(list(a.values()), lr=OPTIM["lr"], betas=(OPTIM["beta1"], OPTIM["beta2"]), eps=OPTIM["eps"],
                              weight_decay=OPTIM["weight_decay"])
    losses, norms, golden = [], [], {}
    for step in range(OPTIM["steps"]):
        optim.zero_grad()
        loss, _ = models.total_loss({}, logits(c, base, a, ids), targets, [])
        loss.backward()
        if step == 0:
            golden.update({"grad." + n: x.grad.numpy().copy() for n, x in a.items()})
        losses.append(loss.item())
        norms.append(float(torch.nn.utils.clip_grad_norm_(list(a.values()), OPTIM["clip"])))
        optim.step()
    golden.update({"after." + n: x.detach().numpy() for n, x in a.items()})
    golden.update(losses=np.array(losses), norms=np.array(norms))
    os.makedirs(folder, exist_ok=True)
    models.save_json(f"{folder}/adapter_config.json", {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "", "inference_mode": True, "r": RANK, "lora_alpha": ALPHA,
        "lora_dropout": 0.0, "use_rslora": True, "bias": "none", "fan_in_fan_out": False, "target_modules": TARGETS})
    models.save_json(f"{folder}/optim.json", OPTIM)
    models.save_safetensors(f"{folder}/adapter_model.safetensors", adapter)
    models.save_safetensors(f"{folder}/golden.safetensors", golden)
    print(f"lora: losses {losses[0]:.6f} to {losses[-1]:.6f}, norms {min(norms):.3f} to {max(norms):.3f}")


def sums(c, base, adapter, sequences):
    """Sum of log-probabilities of the counted targets of each sequence."""
    out = []
    for ids, target in sequences:
        z = logits(c, base, adapter, torch.tensor(ids)[None].long())[0].log_softmax(-1)
        counted = torch.tensor(target != models.IGNORED)
        out.append(z[counted].gather(-1, torch.tensor(target)[counted].long()[:, None]).sum())
    return torch.stack(out)


def write_dpo(folder, c, base, adapter):
    rng, sequences = np.random.RandomState(22), []
    for prompt, chosen, rejected in ((5, 7, 4), (3, 6, 9)):
        start = rng.randint(0, c["vocab_size"], prompt)
        for n in (chosen, rejected):
            text = np.concatenate([start, rng.randint(0, c["vocab_size"], n + 1)]).astype(np.int32)
            target = text[1:].copy()
            target[:prompt - 1] = models.IGNORED
            sequences.append((text[:-1], target))
    a = leaves(adapter)
    reference, policy = sums(c, base, None, sequences), sums(c, base, a, sequences)
    reward = BETA * (policy - reference)
    loss = -torch.nn.functional.logsigmoid(reward[0::2] - reward[1::2]).mean()
    loss.backward()
    golden = {"ids": np.concatenate([s[0] for s in sequences]), "target": np.concatenate([s[1] for s in sequences]),
              "start": np.cumsum([0] + [len(s[0]) for s in sequences]).astype(np.int32), "reference": reference.detach().numpy(),
              "policy": policy.detach().numpy(), "beta": np.array([BETA]), "loss": loss.detach().reshape(1).numpy(),
              "chosen": reward[0::2].detach().numpy(), "rejected": reward[1::2].detach().numpy()}
    golden.update({"grad." + n: x.grad.numpy() for n, x in a.items()})
    os.makedirs(folder, exist_ok=True)
    models.save_safetensors(f"{folder}/golden.safetensors", golden)
    print(f"dpo: loss {loss.item():.6f}, margins {(reward[0::2] - reward[1::2]).tolist()}")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    arg = argparse.ArgumentParser(description="Writes the golden cases of adapters.")
    arg.add_argument("--out", default=os.path.join(here, "../../tests/golden"))
    out = arg.parse_args().out
    torch.set_num_threads(1)
    weights, ids, targets = models.draw_case(models.CASES["llama"])
    c, base = models.CASES["llama"]["config"], {n: torch.tensor(x, dtype=torch.float64) for n, x in weights.items()}
    adapter = draw_adapter(weights)
    write_lora(os.path.join(out, "lora"), c, base, adapter, torch.tensor(ids).long(), torch.tensor(targets))
    write_dpo(os.path.join(out, "dpo"), c, base, adapter)


if __name__ == "__main__":
    main()
