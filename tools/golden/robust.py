#!/usr/bin/env python3
"""tests/golden/robust.json: log-likelihoods of the choices of 60 items in 7 forms, drawn here, and what lathe eval --perturb is to find in them.

    python3 -m venv V; V/bin/pip install scipy numpy
    V/bin/python tools/golden/robust.py

Wilson's intervals and McNemar's p are scipy's, Tango's score is solved here with the restricted likelihood maximised numerically, the retention's
interval is scipy.stats.bootstrap's BCa (of other draws: the test allows for that), the divergences are scipy.stats.entropy's."""
import json, math, os
import numpy as np, scipy
from scipy import optimize, stats

rng = np.random.default_rng(20261126)
V, N, K = 6, 60, 4
gold = rng.integers(0, K, N)
clean = rng.normal(0, 1.5, (N, K)) - 8
clean[np.arange(N), gold] += 1.6
forms = [clean] + [clean + rng.normal(0, 0.3 + 0.25 * v, (N, K)) for v in range(V)]
forms = [np.round(f, 6) for f in forms]
missing = [[2, 5], [2, 6], [4, 0]]          # [form from 0, item] without an answer


def wilson(k, n, level=0.95):
    c = stats.binomtest(int(k), int(n)).proportion_ci(level, "wilson")
    return [float(c.low), float(c.high)]


def tango(b, c, n):
    """The differences d = (b - c) / n that the score test does not reject."""
    z = stats.norm.ppf(0.975)

    def score(d):
        lo, hi = max(0, -d) + 1e-15, (1 - d) / 2 - 1e-15        # q = P(c), P(b) = q + d
        def nll(q):
            out = 0.0
            for k, p in ((b, q + d), (c, q), (n - b - c, 1 - 2 * q - d)):
                if k:
                    out -= k * math.log(max(p, 1e-300))
            return out
        q = optimize.minimize_scalar(nll, bounds=(lo, hi), method="bounded", options={"xatol": 1e-14}).x
        return (b - c - n * d) / math.sqrt(n * (2 * q + d * (1 - d)))
    d = (b - c) / n
    return [optimize.brentq(lambda x: score(x) - z, -1 + 1e-9, d - 1e-12, xtol=1e-13), optimize.brentq(lambda x: score(x) + z, d + 1e-12, 1 - 1e-9, xtol=1e-13)]


def holm(p):
    order, out, most = sorted(range(len(p)), key=p.__getitem__), [0] * len(p), 0
    for i, k in enumerate(order):
        most = max(most, min(1, (len(p) - i) * p[k]))
        out[k] = most
    return out


right = [(f.argmax(1) == gold) for f in forms]
softmax = [np.exp(f) / np.exp(f).sum(1, keepdims=True) for f in forms]
variants = []
for v in range(V):
    keep = np.array([[v, i] not in missing for i in range(N)])
    a, b = right[0][keep], right[v + 1][keep]
    n, lost, won = len(a), int((a & ~b).sum()), int((~a & b).sum())
    kl = stats.entropy(softmax[0][keep], softmax[v + 1][keep], axis=1)
    t = stats.t.ppf(0.975, n - 1) * kl.std(ddof=1) / math.sqrt(n)
    loss = tango(lost, won, n)
    bca = stats.bootstrap((b.astype(float), a.astype(float)), lambda x, y, axis=-1: x.sum(axis=axis) / y.sum(axis=axis), paired=True, n_resamples=9999, method="BCa", rng=1)
    variants.append({"n": n, "value": float(b.mean()), "ci95": wilson(b.sum(), n), "broken": lost, "mended": won, "change": (won - lost) / n, "change_ci95": [-loss[1], -loss[0]],
                     "p_mcnemar": float(stats.binomtest(min(lost, won), lost + won).pvalue) if lost + won else 1.0, "flip_rate": (lost + won) / n, "flip_ci95": wilson(lost + won, n),
                     "retention": float(b.sum() / a.sum()), "retention_ci95": [float(bca.confidence_interval.low), float(bca.confidence_interval.high)],
                     "kl": float(kl.mean()), "kl_ci95": [float(kl.mean() - t), float(kl.mean() + t)]})
for v, p in zip(variants, holm([v["p_mcnemar"] for v in variants])):
    v["p_holm"] = p
least = np.array([min(bool(right[f][i]) for f in range(V + 1) if f == 0 or [f - 1, i] not in missing) for i in range(N)])
worst = min(range(V), key=lambda v: variants[v]["value"])
out = {"made_by": "tools/golden/robust.py, scipy " + scipy.__version__, "gold": gold.tolist(), "loglik": [f.tolist() for f in forms], "missing": missing,
       "clean": {"value": float(right[0].mean()), "ci95": wilson(right[0].sum(), N)}, "variants": variants,
       "worst_case": {"n": N, "value": float(least.mean()), "ci95": wilson(least.sum(), N)},
       "worst": {"variant": worst, "value": variants[worst]["value"],
                 "simultaneous_ci95": wilson(round(variants[worst]["value"] * variants[worst]["n"]), variants[worst]["n"], 1 - 0.05 / V)}}
with open(os.path.join(os.path.dirname(__file__), "../../tests/golden/robust.json"), "w") as o:
    json.dump(out, o, separators=(",", ":"))
    o.write("\n")
print(json.dumps({k: out[k] for k in ("clean", "worst_case", "worst")}), [round(v["value"], 3) for v in variants], [v["p_holm"] for v in variants])
