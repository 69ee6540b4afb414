#!/usr/bin/env python3
"""The peer of `lathe train recipes/fashion-mnist.yaml`: the same vision transformer in eager torch, its step timed on random images.

    bench/torch_vit.py --threads 2 --steps 40 [--bf16]

Patches by a strided convolution, a cls token, learned positions, blocks with the norm before, exact GELU, scaled_dot_product_attention
where torch has it; cross-entropy with label smoothing, clipping, and AdamW, fused where torch has it: less work than the Muon of the recipe.  Images lie
ready in memory: no augmentation.  Prints one line of JSON: the median over the steps after the first 5."""
import argparse
import json
import math
import os
import statistics
import time

arg = argparse.ArgumentParser(description="Times a step of a small vision transformer in eager torch.")
for name, value in (("threads", 1), ("steps", 40), ("batch", 128), ("width", 96), ("layers", 6), ("heads", 3), ("inner", 192), ("patch", 4), ("size", 28), ("channels", 1)):
    arg.add_argument("--" + name, type=int, default=value)
arg.add_argument("--bf16", action="store_true", help="torch.autocast to bfloat16")
args = arg.parse_args()
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):       # read when torch is loaded
    os.environ[name] = str(args.threads)

import torch                                     # noqa: E402
import torch.nn as nn                            # noqa: E402
from torch.nn import functional as F             # noqa: E402

N_WARM = 5


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        C = args.width
        self.norm1, self.norm2 = nn.LayerNorm(C, 1e-6), nn.LayerNorm(C, 1e-6)
        self.qkv, self.o, self.up, self.down = nn.Linear(C, 3 * C), nn.Linear(C, C), nn.Linear(C, args.inner), nn.Linear(args.inner, C)

    def forward(self, x):
        q, k, v = (a.unflatten(2, (args.heads, -1)).transpose(1, 2) for a in self.qkv(self.norm1(x)).chunk(3, 2))
        if hasattr(F, "scaled_dot_product_attention"):
            a = F.scaled_dot_product_attention(q, k, v)
        else:
            a = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).softmax(3) @ v
        x = x + self.o(a.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        C, n = args.width, (args.size // args.patch) ** 2
        self.patch = nn.Conv2d(args.channels, C, args.patch, args.patch)
        self.cls, self.pos = nn.Parameter(torch.randn(1, 1, C) * 0.06), nn.Parameter(torch.randn(1, n + 1, C) * 0.06)
        self.blocks = nn.Sequential(*(Block() for _ in range(args.layers)))
        self.norm, self.head = nn.LayerNorm(C, 1e-6), nn.Linear(C, 10)

    def forward(self, images):
        x = self.patch(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        return self.head(self.norm(self.blocks(x)[:, 0]))


def optimiser(model):
    try:
        return torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05, fused=True)
    except (TypeError, RuntimeError):
        return torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05, foreach=True)


def main():
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = ViT()
    optim = optimiser(model)
    images, labels = torch.randn(args.batch, args.channels, args.size, args.size), torch.randint(10, (args.batch,))
    times = []
    for _ in range(args.steps):
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            loss = F.cross_entropy(model(images).float(), labels, label_smoothing=0.1)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optim.step()
        optim.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - begin)
    second = statistics.median(times[N_WARM:])
    print(json.dumps({"torch": torch.__version__, "images_per_s": args.batch / second, "ms_per_step": 1e3 * second, "parameters": sum(p.numel() for p in model.parameters()),
                      "loss": loss.item()}))


if __name__ == "__main__":
    main()
