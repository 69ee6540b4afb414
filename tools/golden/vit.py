#!/usr/bin/env python3
"""Writes tests/golden/vit, vit_mean: small vision transformers with their logits, losses and gradients, and their weights after 20
steps of AdamW and of Muon, by torch in float64; see models.py, whose ways with files and numbers are used.

    tools/golden/vit.py [--out tests/golden]
    tools/golden/vit.py --check tests/golden      vit's logits by transformers' ViTForImageClassification, from the same folder

  config.json, model.safetensors     as transformers' class writes them
  golden.safetensors   pixels                F32 [N,B,channels,size,size]     N batches, what the model is given
                       target                F64 [N,B,labels]                 distributions; one image's is all 0: not counted
                       logits                F64 [B,labels]                   of batch 0
                       loss                  F64 [1]                          of batch 0, mean over the counted images
                       grad.<weight>         F64                              of that
                       slope                 F64 [B,channels,size,size]       of that by the numbers of batch 0
                       adamw.<weight>, muon.<weight>   F64                    after 20 steps, batches 0, 1, 2, 0, 1 ...
Muon is of the matrices of layers, q, k and v each by itself; AdamW has the rest, and decays matrices other than cls and positions."""
import argparse
import math
import os
import sys

import numpy as np
import torch

from models import gelu, layer_norm, load_safetensors, orthogonal, save_json, save_safetensors

N, B, STEPS = 3, 5, 20
BETA1, BETA2, EPS, DECAY, CLIP, LR = 0.9, 0.95, 1e-8, 0.1, 1.0, 3e-3
MUON_LR, MUON_DECAY, MOMENTUM = 0.02, 0.01, 0.95
CONFIG = {"architectures": ["ViTForImageClassification"], "model_type": "vit", "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
          "intermediate_size": 40, "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.02,
          "layer_norm_eps": 1e-6, "image_size": 12, "patch_size": 4, "num_channels": 2, "qkv_bias": True, "encoder_stride": 16,
          "id2label": {str(i): f"class {i}" for i in range(7)}, "label2id": {f"class {i}": i for i in range(7)}, "torch_dtype": "float32"}
CASES = {"vit": CONFIG, "vit_mean": dict(CONFIG, classifier_pooling="mean", qkv_bias=False, layer_norm_eps=1e-12)}
SEEDS = {"vit": 21, "vit_mean": 22}


def shapes(c):
    C, F, P, L = c["hidden_size"], c["intermediate_size"], c["patch_size"], len(c["id2label"])
    n = (c["image_size"] // P) ** 2
    s = {"vit.embeddings.cls_token": (1, 1, C), "vit.embeddings.position_embeddings": (1, n + 1, C),
         "vit.embeddings.patch_embeddings.projection.weight": (C, c["num_channels"], P, P), "vit.embeddings.patch_embeddings.projection.bias": (C,)}
    for i in range(c["num_hidden_layers"]):
        p = f"vit.encoder.layer.{i}."
        for name, shape in (("layernorm_before", (C,)), ("attention.attention.query", (C, C)), ("attention.attention.key", (C, C)),
                            ("attention.attention.value", (C, C)), ("attention.output.dense", (C, C)), ("layernorm_after", (C,)),
                            ("intermediate.dense", (F, C)), ("output.dense", (C, F))):
            s[p + name + ".weight"] = shape
            if c["qkv_bias"] or "attention.attention" not in name:
                s[p + name + ".bias"] = shape[:1]
    s.update({"vit.layernorm.weight": (C,), "vit.layernorm.bias": (C,), "classifier.weight": (L, C), "classifier.bias": (L,)})
    return s


def logits_of(w, c, pixels):
    def linear(x, name):
        y = x @ w[name + ".weight"].T
        return y + w[name + ".bias"] if name + ".bias" in w else y

    def norm(x, name):
        return layer_norm(x, w[name + ".weight"], w[name + ".bias"], c["layer_norm_eps"])

    P, H = c["patch_size"], c["num_attention_heads"]
    e = "vit.embeddings."
    x = torch.nn.functional.conv2d(pixels, w[e + "patch_embeddings.projection.weight"], w[e + "patch_embeddings.projection.bias"], stride=P)
    x = torch.cat([w[e + "cls_token"].expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1) + w[e + "position_embeddings"]
    for i in range(c["num_hidden_layers"]):
        p = f"vit.encoder.layer.{i}."
        h = norm(x, p + "layernorm_before")
        q, k, v = (linear(h, p + "attention.attention." + a).unflatten(2, (H, -1)).transpose(1, 2) for a in ("query", "key", "value"))
        a = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).softmax(3) @ v
        x = x + linear(a.transpose(1, 2).flatten(2), p + "attention.output.dense")
        x = x + linear(gelu(linear(norm(x, p + "layernorm_after"), p + "intermediate.dense")), p + "output.dense")
    x = norm(x, "vit.layernorm")
    return linear(x[:, 1:].mean(1) if c.get("classifier_pooling") == "mean" else x[:, 0], "classifier")


def loss_of(logits, target):
    return -(target * logits.log_softmax(1)).sum() / (target.sum(1) > 0).sum()


def of_muon(name):
    return ".layer." in name and name.endswith(".weight") and "layernorm" not in name


def decays(name):
    return name.endswith(".weight") and "layernorm" not in name


def train(weights, c, pixels, target, muon):
    w = {name: torch.tensor(x, dtype=torch.float64, requires_grad=True) for name, x in weights.items()}
    adamw = [n for n in w if not (muon and of_muon(n))]
    optim = torch.optim.AdamW([{"params": [w[n] for n in adamw if decays(n)], "weight_decay": DECAY},
                               {"params": [w[n] for n in adamw if not decays(n)], "weight_decay": 0.0}], lr=LR, betas=(BETA1, BETA2), eps=EPS)
    momentum = {n: torch.zeros_like(x) for n, x in w.items() if n not in adamw}
    for step in range(STEPS):
        for x in w.values():
            x.grad = None
        loss_of(logits_of(w, c, pixels[step % N]), target[step % N]).backward()
        torch.nn.utils.clip_grad_norm_(list(w.values()), CLIP)
        optim.step()
        with torch.no_grad():
            for n, m in momentum.items():
                m.lerp_(w[n].grad, 1 - MOMENTUM)
                w[n] *= 1 - MUON_LR * MUON_DECAY
                w[n] -= MUON_LR * max(1, m.shape[0] / m.shape[1]) ** 0.5 * orthogonal(w[n].grad.lerp(m, MOMENTUM))
    return {n: x.detach().numpy() for n, x in w.items()}


def write(folder, name):
    c, rng = CASES[name], np.random.RandomState(SEEDS[name])
    weights = {}
    for n, shape in shapes(c).items():
        x = rng.standard_normal(shape)
        weights[n] = (1 + 0.1 * x if "layernorm" in n and n.endswith("weight") else 0.15 * x).astype(np.float32)
    pixels = rng.standard_normal((N, B, c["num_channels"], c["image_size"], c["image_size"])).astype(np.float32)
    target = rng.dirichlet(np.full(len(c["id2label"]), 0.4), (N, B))
    target = (np.round(target * 1024) / 1024)                       # exact in float32; sums need not be 1
    target[0, 2] = 0
    p, t = torch.tensor(pixels, dtype=torch.float64), torch.tensor(target)
    w = {n: torch.tensor(x, dtype=torch.float64, requires_grad=True) for n, x in weights.items()}
    first = p[0].clone().requires_grad_(True)
    logits = logits_of(w, c, first)
    # the gradient of a sum of targets that is not 1 keeps that sum: -(t * log_softmax) has it by itself
    loss = loss_of(logits, t[0])
    loss.backward()
    golden = {"pixels": pixels, "target": target, "logits": logits.detach().numpy(), "loss": loss.detach().reshape(1).numpy(), "slope": first.grad.numpy()}
    golden.update({"grad." + n: x.grad.numpy() for n, x in w.items()})
    for kind in ("adamw", "muon"):
        golden.update({f"{kind}.{n}": x for n, x in train(weights, c, p, t, kind == "muon").items()})
    os.makedirs(folder, exist_ok=True)
    save_json(f"{folder}/config.json", c)
    save_safetensors(f"{folder}/model.safetensors", weights)
    save_safetensors(f"{folder}/golden.safetensors", golden)
    print(f"{name}: loss {loss:.6f}, {sum(x.size for x in weights.values())} weights")


def check(folder):
    from transformers import ViTForImageClassification
    golden = load_safetensors(f"{folder}/golden.safetensors")
    model = ViTForImageClassification.from_pretrained(folder, attn_implementation="sdpa").double().eval()
    got = model(torch.tensor(golden["pixels"][0], dtype=torch.float64)).logits.detach().numpy()
    d = np.linalg.norm(got - golden["logits"]) / np.linalg.norm(golden["logits"])
    print(f"logits of transformers differ by {d:.1e}, labels {list(model.config.id2label.values())}")
    return 0 if d <= 1e-12 else 1


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    arg = argparse.ArgumentParser(description="Writes the golden cases of vision transformers.")
    arg.add_argument("--out", default=os.path.join(here, "../../tests/golden"))
    arg.add_argument("--check", help="the folder of the cases")
    args = arg.parse_args()
    torch.set_num_threads(1)
    if args.check:
        sys.exit(check(os.path.join(args.check, "vit")))
    for name in CASES:
        write(os.path.join(args.out, name), name)


if __name__ == "__main__":
    main()
