#!/usr/bin/env python3
"""Writes tests/golden/diverge.json: divergences of made-up predictions by torch and numpy in double.

Usage: tools/golden/diverge.py > tests/golden/diverge.json (torch 2.x, numpy 1.2x or later).  Logits are floats; the second model's are the
first's with noise, a row that is the same, one that is flat and one of large values among them."""
import json

import numpy as np
import torch
from torch.distributions import Categorical, kl_divergence

V, ROWS = 37, 24
rng = np.random.default_rng(7)
old = (rng.standard_normal((ROWS, V)) * 3).astype(np.float32)
new = (old + 0.3 * rng.standard_normal((ROWS, V))).astype(np.float32)
new[3] = old[3]
old[5] = 0.5
old[7] *= 30
ids = [int(i) if r % 8 != 7 else -1 for r, i in enumerate(rng.integers(0, V, ROWS))]
cluster = [r // 5 for r in range(ROWS)]

p, q = torch.tensor(old, dtype=torch.float64), torch.tensor(new, dtype=torch.float64)
kl = kl_divergence(Categorical(logits=p), Categorical(logits=q)).numpy()
back = kl_divergence(Categorical(logits=q), Categorical(logits=p)).numpy()
lp, lq = torch.log_softmax(p, -1).numpy(), torch.log_softmax(q, -1).numpy()
has = np.array([i >= 0 for i in ids])
lo = np.array([lp[r, i] for r, i in enumerate(ids) if i >= 0])
ln = np.array([lq[r, i] for r, i in enumerate(ids) if i >= 0])
same = (lp.argmax(-1) == lq.argmax(-1)).astype(float)


def se(x, c):
    sums = [sum(x[np.array(c) == k] - x.mean()) for k in sorted(set(c))]
    return float(np.sqrt(np.sum(np.square(sums)) * len(sums) / (len(sums) - 1)) / len(x))


def spread(x):
    return {"mean": x.mean(), "se": se(x, cluster), "quantile": [float(np.quantile(x, t)) for t in (0.5, 0.9, 0.95, 0.99, 0.999)], "max": x.max()}


ct = [c for c, h in zip(cluster, has) if h]
dp, ratio = np.exp(ln) - np.exp(lo), lo - ln
cov = np.cov(-lo, -ln)
print(json.dumps({
    "V": V, "old": [[float(x) for x in r] for r in old], "new": [[float(x) for x in r] for r in new], "ids": ids, "cluster": cluster,
    "each": [[float(a), float(b)] for a, b in zip(kl, back)],
    "kl": spread(kl), "kl_back": spread(back), "same_top": same.mean(), "same_top_se": se(same, cluster),
    "dp": dp.mean(), "dp_se": se(dp, ct), "dp_rms": float(np.sqrt(np.mean(dp ** 2))), "dp_quantile": [float(np.quantile(dp, t)) for t in (0.01, 0.05, 0.5, 0.95, 0.99)],
    "nll_old": -lo.mean(), "nll_new": -ln.mean(), "log_ratio": ratio.mean(), "log_ratio_se": se(ratio, ct),
    "log_ratio_se_tokens": float(np.sqrt((cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]) / len(lo))), "correlation": float(np.corrcoef(lo, ln)[0, 1])}))
