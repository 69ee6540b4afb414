#!/usr/bin/env python3
"""Membership scores and curves by other programs: golden values for tests/unit/test_membership.c and test_roc.c, and a check of `lathe eval --membership`.

    tools/golden/membership.py                                     writes tests/golden/membership.json
    tools/golden/membership.py --model FILE.gguf --items ITEMS     compares with the items of lathe eval --membership ... --out FOLDER --log-samples

Likelihoods are transformers' in float32, scores those of the papers' formulas, areas and points scikit-learn's, standard errors DeLong's by their
definition over all pairs.  A text longer than the model's positions is scored in windows as lm-evaluation-harness' rolling ones; before
the first token stands bos.  Needs PyPI's numpy, scikit-learn, torch and transformers, with --model gguf too; made with scikit-learn 1.9.1, transformers 5.24."""
import argparse
import json
import os
import random
import shutil
import subprocess
import tempfile
import zlib

import numpy as np
import torch
import transformers
from sklearn.metrics import roc_auc_score, roc_curve

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/golden")
WORDS = "the cat sat on a mat and the dog ran to that man in the rain then it ate the ham at the old mill\n".split(" ")
PERCENT = (5, 10, 20, 30, 40, 50, 60)


def tokens(model, tok, text, most):
    """log p, mean and sd of log p over the vocabulary, of each token."""
    ids = tok.encode(text)
    row = [tok.bos_token_id] + ids
    out = []
    for begin in range(0, len(ids), most):
        end = min(begin + most, len(ids))
        first = max(0, end - most) if begin else 0
        fed = torch.tensor([row[first:end]])
        with torch.no_grad():
            logp = torch.log_softmax(model(fed, use_cache=False).logits[0].double(), -1)[begin - first:]
        p = logp.exp()
        mean = (p * logp).sum(-1)
        sd = ((p * logp.square()).sum(-1) - mean.square()).clamp(min=0).sqrt()
        own = logp[torch.arange(end - begin), ids[begin:end]]
        out.append(torch.stack([own, mean, sd], -1))
    return torch.cat(out).numpy()


def scores(model, tok, text, most):
    t = tokens(model, tok, text, most)
    loss = t[:, 0].mean()
    out = {"loss": loss, "zlib": loss / len(zlib.compress(text.encode())), "lowercase": loss / -tokens(model, tok, text.lower(), most)[:, 0].mean()}
    for name, v in (("min_k", t[:, 0]), ("min_k_pp", (t[:, 0] - t[:, 1]) / t[:, 2])):
        for k in PERCENT:
            out[f"{name}_{k}"] = np.sort(v)[:max(1, len(v) * k // 100)].mean()
    return {k: float(v) for k, v in out.items()}


def delong(a, b, y):
    """Covariance of two areas, by all pairs."""
    part = []
    for s in (a, b):
        d = np.sign(s[y == 1][:, None] - s[y == 0][None, :]) / 2 + 0.5
        part.append((d.mean(1), d.mean(0)))
    return sum(np.cov(part[0][i], part[1][i])[0, 1] / len(part[0][i]) for i in range(2))


def curve(score, y):
    fpr, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    return {"auroc": roc_auc_score(y, score), "se": delong(score, score, y) ** 0.5, "tpr": [tpr[fpr <= x].max() for x in (0.01, 0.001)],
            "balanced": float(((tpr + 1 - fpr) / 2).max())}


def curves():
    rng = np.random.default_rng(5)
    out = []
    for n, m, shift, digits in ((3, 4, 1, 9), (40, 60, 0.5, 9), (40, 60, 0.5, 0), (300, 1200, 1, 2), (1500, 150, 0, 9)):
        y = np.r_[np.ones(n, int), np.zeros(m, int)]
        a = np.round(rng.normal(size=n + m) + shift * y, digits)
        b = np.round(a + rng.normal(size=n + m), digits)
        order = rng.permutation(n + m)
        y, a, b = y[order], a[order], b[order]
        var = delong(a, a, y) + delong(b, b, y) - 2 * delong(a, b, y)
        out.append({"positive": y.tolist(), "a": a.tolist(), "b": b.tolist(), "of_a": curve(a, y), "difference": roc_auc_score(y, a) - roc_auc_score(y, b), "se": var ** 0.5})
    return out


class Tokenizer:
    """ids by `lathe tokenize`, which has goldens of its own: what transformers makes of a GGUF file's tokenizer is not always what the file says."""
    def __init__(self, model, bos):
        self.model, self.bos_token_id = model, bos

    def encode(self, text):
        return json.loads(subprocess.run(["./lathe", "tokenize", self.model, "--specials", "--json"], input=text.encode(), capture_output=True, check=True).stdout)["ids"]


def small_model():
    with tempfile.TemporaryDirectory() as folder:
        for f in ("config.json", "model.safetensors"):
            shutil.copy(f"{GOLDEN}/llama/{f}", folder)
        shutil.copy(f"{GOLDEN}/eval/tokenizer.json", f"{folder}/tokenizer.json")
        with open(f"{folder}/tokenizer_config.json", "w") as f:
            json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}, f)
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), transformers.AutoTokenizer.from_pretrained(folder)


def write():
    model, tok = small_model()
    rng = random.Random(3)
    texts = [" ".join(rng.choices(WORDS, k=n)) for n in (1, 2, 5, 12, 12, 30, 60, 150)]
    out = {"texts": [{"text": t, **scores(model, tok, t, model.config.max_position_embeddings)} for t in texts], "curves": curves()}
    with open(f"{GOLDEN}/membership.json", "w") as f:
        json.dump(out, f)
        f.write("\n")


def compare(args):
    folder, name = os.path.split(args.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    tok = Tokenizer(args.model, transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name).bos_token_id)
    items = [json.loads(line) for line in open(args.items)][:args.limit]
    lines = {}
    worst = {}
    for i in items:
        if i["file"] not in lines:
            lines[i["file"]] = open(i["file"]).read().splitlines()
        got = scores(model, tok, json.loads(lines[i["file"]][i["line"] - 1])["text"], model.config.max_position_embeddings)
        for k, v in got.items():
            worst[k] = max(worst.get(k, 0), abs(v - i[k]) / abs(v))
    y = np.array([int(i["member"]) for i in items])
    for k in worst:
        print(f"{k:12} largest relative difference {worst[k]:.2g}", curve(np.array([i[k] for i in items]), y))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model")
    p.add_argument("--items")
    p.add_argument("--limit", type=int, default=10**9)
    args = p.parse_args()
    if args.model:
        compare(args)
    else:
        write()


if __name__ == "__main__":
    main()
