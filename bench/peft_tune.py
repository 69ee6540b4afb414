#!/usr/bin/env python3
"""The peer of `lathe train` with adapters: the same recipe in torch with peft, and for pairs TRL's loss.

    bench/peft_tune.py --base HF_FOLDER --run LATHE_RUN --train chat.jsonl --valid chat-valid.jsonl [--bf16] [--threads 2]
    bench/peft_tune.py ... --train pairs.jsonl --valid pairs-valid.jsonl --dpo 0.1

Takes from LATHE_RUN its adapter_config.json (rank, alpha, modules) and from its metrics.jsonl the number of steps and their learning
rates.  Everything else is here: transformers' tokenizer and chat template, what of a chat is learned (the assistants' words and the
token that ends them), batches (the records of an epoch in random order, evenly over its steps, padded), peft's own initial
adapters, AdamW (0.9, 0.95) without decay, clipping at 1, a loss of the mean over the learned tokens of a step, or the mean of the
pairs' DPO loss with the adapters switched off as the reference (arXiv:2305.18290, as trl.DPOTrainer with loss_type sigmoid).
Prints the held-out loss before and after and the seconds of the steps, as one line of JSON."""
import argparse
import json
import os
import time

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

arg = argparse.ArgumentParser(description="Fine-tunes with torch and peft as a run of lathe did.")
arg.add_argument("--base", required=True, help="model folder for transformers")
arg.add_argument("--run", required=True, help="folder of the run of lathe")
arg.add_argument("--train", required=True)
arg.add_argument("--valid", required=True)
arg.add_argument("--epochs", type=int, default=2)
arg.add_argument("--dpo", type=float, default=0, help="beta; 0: likelihood")
arg.add_argument("--bf16", action="store_true", help="torch.autocast to bfloat16")
arg.add_argument("--threads", type=int, default=1)
arg.add_argument("--seed", type=int, default=1)
args = arg.parse_args()
torch.manual_seed(args.seed)
torch.set_num_threads(args.threads)
END = "<|im_end|>"
tok = AutoTokenizer.from_pretrained(args.base)


def encode(messages):
    """ids, and for each whether it is learned: of the last message its content and the token that ends it."""
    head = tok.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    whole = tok.apply_chat_template(messages, tokenize=False)
    assert whole.startswith(head + messages[-1]["content"] + END)
    to = len(head + messages[-1]["content"] + END)
    e = tok(whole, add_special_tokens=False, return_offsets_mapping=True)
    return e["input_ids"], [a >= len(head) and b <= to for a, b in e["offset_mapping"]]


def read(path):
    """A list of lists: the one sequence of a chat, the chosen and the rejected one of a pair."""
    out = []
    with open(path) as f:
        for r in map(json.loads, f):
            if args.dpo:
                prompt = r.get("prompt", [])
                out.append([encode(prompt + r[k]) for k in ("chosen", "rejected")])
            else:
                out.append([encode(r["messages"])])
    return out


def nll(model, sequences):
    """[sequences, T-1] of each target, and which are learned."""
    T = max(len(s[0]) for s in sequences)
    ids, learn, real = torch.zeros(len(sequences), T, dtype=torch.long), torch.zeros(len(sequences), T), torch.zeros(len(sequences), T, dtype=torch.long)
    for i, (a, b) in enumerate(sequences):
        ids[i, :len(a)], learn[i, :len(a)], real[i, :len(a)] = torch.tensor(a), torch.tensor(b, dtype=torch.float), 1
    with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
        logits = model(input_ids=ids, attention_mask=real).logits
    loss = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(sequences), T - 1)
    return loss * learn[:, 1:], learn[:, 1:]


def loss_of(model, records):
    """Sum over the records, what to divide by, and how many pairs are preferred rightly."""
    flat = [s for r in records for s in r]
    loss, learn = nll(model, flat)
    if not args.dpo:
        return loss.sum(), learn.sum(), 0
    with torch.no_grad(), model.disable_adapter():
        reference = nll(model, flat)[0].sum(-1)
    reward = args.dpo * (reference - loss.sum(-1))
    margin = reward[0::2] - reward[1::2]
    return -F.logsigmoid(margin).sum(), torch.tensor(float(len(records))), int((margin > 0).sum())


def evaluate(model, records):
    model.eval()
    with torch.no_grad():
        parts = [loss_of(model, records[i:i + 4]) for i in range(0, len(records), 4)]
    model.train()
    n = float(sum(p[1] for p in parts))
    return float(sum(p[0] for p in parts)) / n, sum(p[2] for p in parts) / n, n


with open(os.path.join(args.run, "adapter_config.json")) as f:
    c = json.load(f)
with open(os.path.join(args.run, "metrics.jsonl")) as f:
    lines = [json.loads(line) for line in f]
lrs = [m["lr"] for m in lines if "lr" in m]
model = AutoModelForCausalLM.from_pretrained(args.base, dtype=torch.float32)
model = get_peft_model(model, LoraConfig(r=c["r"], lora_alpha=c["lora_alpha"], use_rslora=c["use_rslora"], target_modules=c["target_modules"], task_type="CAUSAL_LM"))
train, valid = read(args.train), read(args.valid)
before = evaluate(model, valid)
optim = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0)
per_epoch = len(lrs) / args.epochs
begin = time.time()
order, losses = [], []
for step, lr in enumerate(lrs):
    place = step / per_epoch
    if not order or int(place) >= len(order):
        order.append(torch.randperm(len(train)).tolist())
    share = order[int(place)][round(place % 1 * len(train)):round(min(1, place % 1 + 1 / per_epoch) * len(train))]
    for g in optim.param_groups:
        g["lr"] = lr
    optim.zero_grad()
    records = [train[i] for i in share]
    n = float(sum(sum(b[1:]) for r in records for _, b in r)) if not args.dpo else float(len(records))
    total = 0.0
    for i in range(0, len(records), 8):
        loss, _, _ = loss_of(model, records[i:i + 8])
        (loss / n).backward()
        total += loss.item() / n
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    optim.step()
    losses.append(total)
seconds = time.time() - begin
after = evaluate(model, valid)
print(json.dumps({"steps": len(lrs), "valid_before": before[0], "valid_after": after[0], "accuracy": after[1], "valid_count": after[2], "last_losses": sum(losses[-10:]) / len(losses[-10:]),
                  "seconds": round(seconds, 1), "lathe_valid": [m["valid_loss"] for m in lines if "valid_loss" in m][-1]}))
