#!/usr/bin/env python3
"""The peer of `lathe train`: nanoGPT's character model and training loop in eager torch, dense or mixture of experts.

    bench/torch_train.py --data tinyshakespeare.txt --threads 1 --steps 60 --eval-interval 0
    bench/torch_train.py --data tinyshakespeare.txt --steps 2000 --eval [--moe] [--bf16]

nanoGPT 3adf61e with its README's CPU settings: 4 layers, 128 wide, 4 heads, no biases, LayerNorm, exact GELU, tied head,
AdamW (0.9, 0.99), weight decay 0.1 on matrices, clip 1, lr 1e-3 to 1e-4 by a cosine over 2000 steps after 100 of warm-up
(as nanoGPT counts it, (s+1)/101).  Random numbers are drawn in nanoGPT's order, so that with the default
--eval-interval the dense model has the losses recorded for nanoGPT itself (torch 1.13.1 and 2.15.0, train / validation): 4.1676 /
4.1649 at step 0, 2.4293 / 2.4447 at 250.

--moe puts 8 experts of 256 in place of each MLP of 512, two for each token: the same products for a token.  Tokens are
sorted by expert once per layer; the products of the experts are F.grouped_mm where torch has it, else two for each expert.
Of the eager forms tried (expert by expert with where() and index_add, padded batches with bmm, this one), these took the
least CPU time.  57 ms a step, dense 41 ms (torch 2.15.0, float32, one core of a Xeon with AVX-512).

--gpt2 is the shape of GPT-2 124M instead: 12 layers, 768 wide, 12 heads, biases, GELU by tanh, a vocabulary of 50,304 of which the
text uses its characters.  --compile puts torch.compile around the model.

The model takes what torch has: scaled_dot_product_attention, AdamW fused or foreach.  Debian's torch 1.13.1 takes 160
ms a step with OpenBLAS and about six times that with the reference BLAS.  It prints one line of JSON: medians over the
steps after the first 20, without evaluations; CPU seconds are of all threads of the process.  Idle threads spin: with
2 threads on a busy machine neither time means much."""
import argparse
import json
import math
import os
import statistics
import time

arg = argparse.ArgumentParser(description="Trains nanoGPT's character model in eager torch and prints its speed and losses.")
arg.add_argument("--data", required=True, help="text file; its last tenth is for validation")
arg.add_argument("--steps", type=int, default=2000)
arg.add_argument("--threads", type=int, default=1)
arg.add_argument("--batch", type=int, default=12)
arg.add_argument("--ctx", type=int, default=64)
arg.add_argument("--moe", action="store_true", help="8 experts, 2 for each token, in place of each MLP")
arg.add_argument("--gpt2", action="store_true", help="the shape of GPT-2 124M")
arg.add_argument("--compile", action="store_true", help="torch.compile")
arg.add_argument("--bf16", action="store_true", help="torch.autocast to bfloat16")
arg.add_argument("--eval", action="store_true", help="at the end, the loss over the whole validation part")
arg.add_argument("--eval-interval", type=int, default=250, help="steps between nanoGPT's estimates of 20 batches; 0: never")
arg.add_argument("--seed", type=int, default=1337)
args = arg.parse_args()
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):       # read when torch is loaded
    os.environ[name] = str(args.threads)

import torch                                     # noqa: E402
import torch.nn as nn                            # noqa: E402
from torch.nn import functional as F             # noqa: E402

N_LAYER, N_HEAD, C = (12, 12, 768) if args.gpt2 else (4, 4, 128)
BIAS, GELU = args.gpt2, "tanh" if args.gpt2 else "none"
N_VOCAB = 50304 if args.gpt2 else 0               # 0: the text's characters
D_FF, N_EXPERT, TOP_K, D_FF_EXPERT = 4 * C, 8, 2, 2 * C
LB_COEF, Z_COEF = 0.01, 0.001
LR, MIN_LR, WARMUP, LR_STEPS = 1e-3, 1e-4, 100, 2000
EVAL_BATCHES, N_WARM = 20, 3 if args.gpt2 else 20


class LayerNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(C))
        self.bias = nn.Parameter(torch.zeros(C)) if BIAS else None

    def forward(self, x):
        return F.layer_norm(x, (C,), self.weight, self.bias, 1e-5)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_attn = nn.Linear(C, 3 * C, bias=BIAS)
        self.c_proj = nn.Linear(C, C, bias=BIAS)
        self.register_buffer("future", torch.ones(args.ctx, args.ctx).triu(1).bool(), persistent=False)

    def forward(self, x):
        B, T, _ = x.shape
        q, k, v = self.c_attn(x).view(B, T, 3, N_HEAD, C // N_HEAD).permute(2, 0, 3, 1, 4)
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            score = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(C // N_HEAD))
            y = F.softmax(score.masked_fill(self.future[:T, :T], -math.inf), -1) @ v
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    def __init__(self, d_ff):
        super().__init__()
        self.c_fc = nn.Linear(C, d_ff, bias=BIAS)
        self.c_proj = nn.Linear(d_ff, C, bias=BIAS)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate=GELU))


class MoE(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = nn.Linear(C, N_EXPERT, bias=False)
        self.c_fc = nn.Parameter(0.02 * torch.randn(N_EXPERT, D_FF_EXPERT, C))
        self.c_proj = nn.Parameter(0.02 / math.sqrt(2 * N_LAYER) * torch.randn(N_EXPERT, C, D_FF_EXPERT))

    def forward(self, x):
        x = x.view(-1, C)
        with torch.autocast("cpu", enabled=False):             # routers are float32 always
            logits = F.linear(x.float(), self.router.weight)
        top, chosen = logits.topk(TOP_K, -1)
        gates = top.softmax(-1)
        count = torch.bincount(chosen.flatten(), minlength=N_EXPERT)
        self.loss = 0
        if self.training:
            f, P = count / chosen.numel(), logits.softmax(-1).mean(0)
            self.loss = LB_COEF * N_EXPERT * (f * P).sum() + Z_COEF * logits.logsumexp(-1).square().mean()
        order = chosen.flatten().argsort()
        # index_select: its backward is an index_add, that of x[...] a slower index_put.
        y = self.experts(x.index_select(0, order.div(TOP_K, rounding_mode="floor")), count)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        return (y.index_select(0, place).view(-1, TOP_K, C) * gates[:, :, None]).sum(1)

    def experts(self, rows, count):
        """Rows sorted by expert."""
        if hasattr(F, "grouped_mm"):
            # autocast does not know it: under --bf16 the experts stay float32, as to cast them took twice as long.
            end = count.cumsum(0).int()
            h = F.gelu(F.grouped_mm(rows.float(), self.c_fc.transpose(1, 2), offs=end), approximate=GELU)
            return F.grouped_mm(h, self.c_proj.transpose(1, 2), offs=end)
        return torch.cat([F.linear(F.gelu(F.linear(r, fc), approximate=GELU), proj) for r, fc, proj in
                          zip(rows.split(count.tolist()), self.c_fc.unbind(), self.c_proj.unbind())])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = LayerNorm(), Attention(), LayerNorm()
        self.mlp = MoE() if args.moe else MLP(D_FF)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x)).view_as(x)


class GPT(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.wte = nn.Embedding(vocab_size, C)
        self.wpe = nn.Embedding(args.ctx, C)
        self.h = nn.ModuleList(Block() for _ in range(N_LAYER))
        self.ln_f = LayerNorm()
        self.lm_head = nn.Linear(C, vocab_size, bias=False)
        self.wte.weight = self.lm_head.weight
        self.apply(self.init_weights)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * N_LAYER))

    @staticmethod
    def init_weights(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, ids, targets):
        """The cross-entropy alone, and with the losses of the routers."""
        x = self.wte(ids) + self.wpe.weight[:ids.shape[1]]
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))
        return loss, loss + sum(block.mlp.loss for block in self.h) if args.moe else loss


def read_data():
    with open(args.data, encoding="utf-8") as f:
        text = f.read()
    chars = sorted(set(text))
    id_of = {c: i for i, c in enumerate(chars)}
    ids = torch.tensor([id_of[c] for c in text])
    n_train = int(0.9 * len(ids))
    return len(chars), ids[:n_train], ids[n_train:]


def draw_batch(ids):
    begin = torch.randint(len(ids) - args.ctx, (args.batch,))
    window = ids[begin[:, None] + torch.arange(args.ctx + 1)]
    return window[:, :-1], window[:, 1:]


def optimiser(model):
    params = list(model.parameters())
    groups = [{"params": [p for p in params if p.dim() >= 2], "weight_decay": 0.1},
              {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0}]
    for fast in ({"fused": True}, {"foreach": True}):
        try:
            return torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.99), **fast)
        except (TypeError, RuntimeError):                      # fused: unknown, or not for the CPU
            continue
    return torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.99))


def lr_of(step):
    if step < WARMUP:
        return LR * (step + 1) / (WARMUP + 1)
    r = min(1, (step - WARMUP) / (LR_STEPS - WARMUP))
    return MIN_LR + 0.5 * (1 + math.cos(math.pi * r)) * (LR - MIN_LR)


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16)


@torch.no_grad()
def estimate(model, *parts):
    model.eval()
    losses = []
    for ids in parts:
        total = 0.0
        for _ in range(EVAL_BATCHES):
            x, y = draw_batch(ids)
            with autocast():
                total += model(x, y)[0].item()
        losses.append(round(total / EVAL_BATCHES, 4))
    model.train()
    return losses


@torch.no_grad()
def full_loss(model, ids):
    """Over all whole windows of ctx tokens, side by side."""
    model.eval()
    n = (len(ids) - 1) // args.ctx
    x, y = ids[:n * args.ctx].view(n, args.ctx), ids[1:n * args.ctx + 1].view(n, args.ctx)
    total = 0.0
    for i in range(0, n, 64):
        with autocast():
            total += model(x[i:i + 64], y[i:i + 64])[0].item() * len(x[i:i + 64])
    return total / n


def train(model, train_ids, val_ids):
    optim = optimiser(model)
    points, estimates, wall, cpu = [], [], [], []
    x, y = draw_batch(train_ids)
    for step in range(args.steps):
        if args.eval_interval and step % args.eval_interval == 0:
            estimates.append([step] + estimate(model, train_ids, val_ids))
        t0, c0 = time.perf_counter(), time.process_time()
        for group in optim.param_groups:
            group["lr"] = lr_of(step)
        with autocast():
            loss, total = model(x, y)
        x, y = draw_batch(train_ids)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optim.step()
        optim.zero_grad(set_to_none=True)
        points.append(loss.item())
        wall.append(time.perf_counter() - t0)
        cpu.append(time.process_time() - c0)
    if args.eval_interval and args.steps % args.eval_interval == 0:
        estimates.append([args.steps] + estimate(model, train_ids, val_ids))
    return points, estimates, wall, cpu


def main():
    torch.set_num_threads(args.threads)
    vocab_size, train_ids, val_ids = read_data()
    torch.manual_seed(args.seed)
    model = GPT(N_VOCAB or vocab_size)
    n_param = sum(p.numel() for p in model.parameters())
    if args.compile:
        model = torch.compile(model)
    points, estimates, wall, cpu = train(model, train_ids, val_ids)
    skip = min(N_WARM, len(wall) - 1)
    every = max(1, args.steps // 20)
    seconds = statistics.median(wall[skip:])
    print(json.dumps({
        "peer": "torch " + torch.__version__, "model": ("gpt2-" if args.gpt2 else "") + ("moe" if args.moe else "dense"), "compiled": args.compile, "dtype": "bf16" if args.bf16 else "fp32",
        "n_param": n_param, "threads": args.threads, "batch": args.batch, "ctx": args.ctx,
        "steps": args.steps, "tokens_per_s": round(args.batch * args.ctx / seconds, 1), "step_ms": round(1e3 * seconds, 2),
        "step_ms_p10": round(1e3 * statistics.quantiles(wall[skip:] * 2, n=10)[0], 2),
        "step_ms_p90": round(1e3 * statistics.quantiles(wall[skip:] * 2, n=10)[8], 2),
        "cpu_s_per_step": round(statistics.median(cpu[skip:]), 5),
        "loss": [[i, round(points[i], 4)] for i in range(0, len(points), every)], "estimates": estimates,
        "val_loss": round(full_loss(model, val_ids), 4) if args.eval else None}))


if __name__ == "__main__":
    main()
