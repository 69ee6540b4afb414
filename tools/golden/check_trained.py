#!/usr/bin/env python3
"""Models and adapters that `lathe train` writes, of every family, in transformers and peft: the same predictions.

    tools/golden/check_trained.py --lathe BINARY [case ...]      needs PyPI's torch, transformers and peft

For each model of tests/golden/families that can be trained: 3 steps on a text, whole and by adapters of all matrices (of
mixtures: those of attention, as peft 0.21 takes every gate, up and down there for an expert's).  The folder is then loaded, and the perplexity that lathe tells of it (of adapters: merged into their base) is held against that of
transformers (with peft) on the same windows, in float32: within 2e-5."""
import argparse
import json
import math
import os
import shutil
import subprocess
import tempfile

import torch
import torch.nn.functional as F
import transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/golden/families")
ENCODERS = ("bert", "distilbert", "roberta", "xlm", "modernbert")
CTX = 16
TEXT = "the cat sat on a mat and the dog ran to a house with green eyes.\n"


def lathe(binary, *args):
    return subprocess.run([binary, *args], check=True, stdout=subprocess.PIPE).stdout


def is_mixture(base):
    with open(f"{base}/config.json") as f:
        return any("expert" in key for key in json.load(f))


def train(binary, base, work, adapters):
    out = f"{work}/{'adapters' if adapters else 'whole'}"
    with open(f"{work}/train.yaml", "w") as f:
        f.write(f"model: {{from: {base}}}\ndata: {{train: {work}/text.txt, valid_share: 0.1, tokenizer: bytes}}\n")
        if adapters:
            f.write("lora: {rank: 4, targets: [q, k, v, o]}\n" if is_mixture(base) else "lora: {rank: 4}\n")
        f.write(f"train: {{steps: 3, batch: 4, ctx: {CTX}, lr: {'3e-2' if adapters else '1e-3'}, warmup: 0, eval_every: 0, save_every: 0, precision: fp32}}\n")
    lathe(binary, "train", f"{work}/train.yaml", "--out", out, "--quiet")
    return out


def nll(model, ids):
    """By the convention "all": every token of every window but the window's first."""
    sum_, n = 0.0, 0
    for at in range(0, len(ids) - CTX + 1, CTX):
        window = ids[at:at + CTX]
        with torch.no_grad():
            logits = model(input_ids=window[None], use_cache=False).logits[0].double()
        sum_ += F.cross_entropy(logits[:-1], window[1:], reduction="sum").item()
        n += CTX - 1
    return sum_ / n


def load(folder):
    model, notes = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    assert not any(notes[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), notes
    return model.eval()


def check(binary, case):
    with tempfile.TemporaryDirectory() as work:
        base = f"{work}/base"
        shutil.copytree(f"{GOLDEN}/{case}", base)
        with open(f"{work}/text.txt", "w") as f:
            f.write(TEXT * 40)
        whole, adapters = (train(binary, base, work, a) for a in (False, True))
        tok = PreTrainedTokenizerFast(tokenizer_file=f"{whole}/tokenizer.json")
        ids = torch.tensor(tok(TEXT * 5, add_special_tokens=False)["input_ids"])
        with open(f"{work}/part.txt", "w") as f:
            f.write(TEXT * 5)
        shutil.copy(f"{whole}/tokenizer.json", base)
        lathe(binary, "merge", base, adapters, "--out", f"{work}/merged")
        models = {"whole": load(whole), "adapters": PeftModel.from_pretrained(load(base), adapters).eval(), "merged": load(f"{work}/merged")}
        before = nll(load(base), ids)
        line = f"{case:26} before {before:.4f}"
        for name, model in models.items():
            folder = f"{work}/merged" if name != "whole" else whole
            if not os.path.exists(f"{folder}/tokenizer.json"):
                shutil.copy(f"{whole}/tokenizer.json", folder)
            told = json.loads(lathe(binary, "perplexity", folder, f"{work}/part.txt", "--ctx", str(CTX), "--convention", "all", "--precision", "fp32", "--json", "--quiet"))
            ours, theirs = math.log(told["ppl"]), nll(model, ids)
            line += f", {name} {theirs:.4f} ({ours - theirs:+.1e})"
            assert abs(ours - theirs) < 2e-5 * theirs and theirs < before, line
        print(line, flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lathe", default="./lathe")
    p.add_argument("case", nargs="*")
    args = p.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    for case in args.case or sorted(c for c in os.listdir(GOLDEN) if not c.startswith(ENCODERS)):
        check(args.lathe, case)


if __name__ == "__main__":
    main()
