#!/usr/bin/env python3
"""Writes tests/golden/dpsgd: two steps of DP-SGD without noise by opacus 1.4.0 (torch 1.13, float64), on a model of lathe's own family.

    tools/golden/dpsgd.py [--out tests/golden]

config.json, model.safetensors    the model before;  text.txt: its tokens are the bytes that occur, in ascending order
golden.safetensors                F64 norms, clip [1], losses [2]: of each window's gradient at first, the bound, losses before each step
                                  after.<weight>: after two steps that take every window
A window is 12 tokens, whose last has no target; the last window has 7.  A window's loss is the mean over its targets."""
import argparse
import json
import os
import warnings

import numpy as np
import torch
from torch import nn

import models

warnings.filterwarnings("ignore")
from opacus import PrivacyEngine

CTX, LR, STEPS = 12, 0.5, 2
TEXT = b"a tale of a tub and of two old seals that sat on a stone, told as told"


class Block(nn.Module):
    def __init__(self, C, n_head, inner):
        super().__init__()
        self.n_head = n_head
        self.input_layernorm, self.post_attention_layernorm = nn.LayerNorm(C), nn.LayerNorm(C)
        self.self_attn = nn.ModuleDict({f"{a}_proj": nn.Linear(C, C) for a in "qkvo"})
        self.mlp = nn.ModuleDict({"up_proj": nn.Linear(C, inner), "down_proj": nn.Linear(inner, C)})

    def forward(self, x):
        h = self.input_layernorm(x)
        q, k, v = (models.heads(self.self_attn[f"{a}_proj"](h), self.n_head) for a in "qkv")
        x = x + self.self_attn["o_proj"](models.attention(q, k, v))
        return x + self.mlp["down_proj"](models.gelu(self.mlp["up_proj"](self.post_attention_layernorm(x))))


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        C = c["hidden_size"]
        self.model = nn.ModuleDict({"embed_tokens": nn.Embedding(c["vocab_size"], C), "embed_positions": nn.Embedding(c["max_position_embeddings"], C),
                                    "layers": nn.ModuleList([Block(C, c["num_attention_heads"], c["intermediate_size"]) for _ in range(c["num_hidden_layers"])]), "norm": nn.LayerNorm(C)})
        self.lm_head = nn.Linear(C, c["vocab_size"], bias=False)

    def forward(self, ids):
        pos = torch.arange(ids.shape[1]).expand_as(ids)
        x = self.model["embed_tokens"](ids) + self.model["embed_positions"](pos)
        for block in self.model["layers"]:
            x = block(x)
        return self.lm_head(self.model["norm"](x))


def losses(model, ids, targets):
    """Of each window, the mean over its targets."""
    nll = nn.functional.cross_entropy(model(ids).transpose(1, 2), targets, ignore_index=models.IGNORED, reduction="none")
    return nll.sum(1) / (targets != models.IGNORED).sum(1)


def windows():
    letters = sorted(set(TEXT))
    ids = [letters.index(b) for b in TEXT]
    rows = [ids[i:i + CTX] for i in range(0, len(ids), CTX)]
    ids = torch.tensor([r + [0] * (CTX - len(r)) for r in rows])
    targets = torch.tensor([r[1:] + [models.IGNORED] * (CTX - len(r) + 1) for r in rows])
    return len(letters), ids, targets


def main():
    torch.set_default_dtype(torch.float64)      # else opacus keeps gradients of embeddings in float32
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="tests/golden")
    out = os.path.join(parser.parse_args().out, "dpsgd")
    os.makedirs(out, exist_ok=True)
    V, ids, targets = windows()
    c = {"architectures": ["LatheForCausalLM"], "model_type": "lathe_gpt", "vocab_size": V, "hidden_size": 20, "intermediate_size": 36, "num_hidden_layers": 2,
         "num_attention_heads": 2, "max_position_embeddings": CTX, "norm": "layernorm", "norm_eps": 1e-5, "norm_bias": True, "act": "gelu", "linear_bias": True,
         "pos": "learned", "tie_word_embeddings": False, "torch_dtype": "float32"}
    model = Model(c).double()
    rng = np.random.RandomState(7)
    before = {n: ((1 if "norm.weight" in n else 0) + (0.1 if "norm" in n else 0.25) * rng.standard_normal(tuple(p.shape))).astype(np.float32) for n, p in model.named_parameters()}
    model.load_state_dict({n: torch.tensor(a).double() for n, a in before.items()})

    def norm_of(i):
        g = torch.autograd.grad(losses(model, ids[i:i + 1], targets[i:i + 1])[0], list(model.parameters()))
        return float(sum((x ** 2).sum() for x in g).sqrt())
    norms = np.array([norm_of(i) for i in range(len(ids))])
    clip = float(np.float32(np.median(norms)))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(ids, targets), batch_size=len(ids))
    model.train()
    private, optimizer, loader = PrivacyEngine().make_private(module=model, optimizer=torch.optim.SGD(model.parameters(), lr=LR), data_loader=loader, noise_multiplier=0.0, max_grad_norm=clip)
    seen = []
    for _ in range(STEPS):
        for x, y in loader:
            assert len(x) == len(ids)
            optimizer.zero_grad()
            loss = losses(private, x, y).mean()
            loss.backward()
            optimizer.step()
            seen.append(float(loss))
    golden = {"norms": norms, "clip": np.array([clip]), "losses": np.array(seen)}
    golden.update({"after." + n.replace("_module.", ""): p.detach().numpy() for n, p in private.named_parameters()})
    models.save_json(os.path.join(out, "config.json"), c)
    models.save_safetensors(os.path.join(out, "model.safetensors"), before)
    models.save_safetensors(os.path.join(out, "golden.safetensors"), golden)
    with open(os.path.join(out, "text.txt"), "wb") as f:
        f.write(TEXT)
    print("norms", norms, "clip", clip, "losses", seen)


main()
