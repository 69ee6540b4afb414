#!/usr/bin/env python3
"""Writes tests/golden/slopes.json: slopes of a loss by the vectors of a text's tokens, of stories260K, by PyTorch in double.

    tools/golden/slopes.py SHARED/data/stories260K/stories260K.bin > tests/golden/slopes.json

Needs PyPI's torch.  The model is llama2.c's own file, read and computed here anew.  For each case: ids, target, weight (what each
token's -log p counts; negative: the opposite is wanted), nll of each token, slope [n][64], and best: for each position the three
tokens w with the largest (E_w - E_id) . slope, and these gains."""
import json
import struct
import sys

import torch

torch.set_default_dtype(torch.float64)


def load(path):
    b = open(path, "rb").read()
    dim, ff, n_layer, n_head, n_kv, vocab, ctx = struct.unpack("7i", b[:28])
    assert vocab > 0, "the head is shared"
    at, w = 28, {}

    def take(name, *shape):
        nonlocal at
        n = 1
        for s in shape:
            n *= s
        w[name] = torch.frombuffer(bytearray(b[at:at + 4 * n]), dtype=torch.float32).double().reshape(shape)
        at += 4 * n
    kv = dim // n_head * n_kv
    take("embed", vocab, dim)
    take("norm1", n_layer, dim)
    take("q", n_layer, dim, dim)
    take("k", n_layer, kv, dim)
    take("v", n_layer, kv, dim)
    take("o", n_layer, dim, dim)
    take("norm2", n_layer, dim)
    take("gate", n_layer, ff, dim)
    take("down", n_layer, dim, ff)
    take("up", n_layer, ff, dim)
    take("norm", dim)
    return w, n_layer, n_head, n_kv


def norm(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * w


def rotate(x, d):
    n = x.shape[0]
    angle = torch.arange(n)[:, None] * 10000.0 ** (-torch.arange(0, d, 2) / d)
    c, s = angle.cos()[:, None], angle.sin()[:, None]
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(-2)


def logits(model, x):
    w, n_layer, n_head, n_kv = model
    n, dim = x.shape
    d = dim // n_head
    for i in range(n_layer):
        h = norm(x, w["norm1"][i])
        q = rotate((h @ w["q"][i].T).view(n, n_head, d), d)
        k = rotate((h @ w["k"][i].T).view(n, n_kv, d), d).repeat_interleave(n_head // n_kv, 1)
        v = (h @ w["v"][i].T).view(n, n_kv, d).repeat_interleave(n_head // n_kv, 1)
        s = torch.einsum("ihd,jhd->hij", q, k) / d ** 0.5
        s = s.masked_fill(torch.ones(n, n).triu(1).bool(), float("-inf")).softmax(-1)
        x = x + torch.einsum("hij,jhd->ihd", s, v).reshape(n, dim) @ w["o"][i].T
        h = norm(x, w["norm2"][i])
        x = x + (torch.nn.functional.silu(h @ w["gate"][i].T) * (h @ w["up"][i].T)) @ w["down"][i].T
    return norm(x, w["norm"]) @ w["embed"].T


def digits(x):
    return [digits(v) for v in x] if isinstance(x, list) else float(f"{x:.9g}")


def case(model, ids, weight):
    e = model[0]["embed"]
    x = e[torch.tensor(ids)].clone().requires_grad_()
    target = ids[1:] + [0]
    nll = -logits(model, x).log_softmax(-1)[torch.arange(len(ids)), torch.tensor(target)]
    (nll * torch.tensor(weight)).sum().backward()
    gain = x.grad @ e.T
    gain = gain - gain[torch.arange(len(ids)), torch.tensor(ids)][:, None]
    best = gain.topk(3, -1)
    counted = [v if k else 0 for v, k in zip(nll.tolist(), weight)]
    return {"ids": ids, "target": target, "weight": weight, "nll": digits(counted), "slope": digits(x.grad.tolist()),
            "best": best.indices.tolist(), "gain": digits(best.values.tolist())}


model = load(sys.argv[1])
text = [1, 403, 407, 261, 378, 432, 383, 286, 261, 376]
cases = [case(model, text, [0] * 6 + [1, 1, 1, 0]), case(model, text, [0, 1, -1, 0.5, 0, -0.25, 1, 0, 0, 0]), case(model, text[:2], [1, 0])]
json.dump({"made_with": "torch " + torch.__version__, "cases": cases}, sys.stdout)
print()
