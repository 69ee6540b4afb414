#!/usr/bin/env python3
"""tests/golden/checklist.json: a suite of each kind of test, probabilities of three classes for its texts, drawn here, and which of its cases fail.

    V/bin/python tools/golden/checklist.py            # numpy and scipy

The rules are those of CheckList (github.com/marcotcr/checklist 4e6e5e3): test_types.py (INV: threshold 0.1; a case fails if any text does), expect.py (inv, monotonic, slices), and
positive_change() of notebooks/Sentiment.ipynb; written again here from their descriptions."""
import json, os
import numpy as np
from scipy import stats

rng = np.random.default_rng(7)
OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/checklist.json")
N = 40
NEG, NEU, POS = 0, 1, 2


def prob():
    return [float(x) for x in np.round(rng.dirichlet([0.7, 0.5, 0.7]), 6)]


def near(p):
    q = np.array(p) + rng.normal(0, 0.12, 3)
    q = np.clip(q, 0.001, None)
    return [float(x) for x in np.round(q / q.sum(), 6)]


def top(p):
    return int(np.argmax(p))


def single(rule):
    return lambda ps, label: (False if any(not rule(top(p), label) for p in ps) else True)


def pairwise(rule):
    def whole(ps, label):
        found = [r for r in (rule(ps[0], p) for p in ps[1:]) if r is not None]
        return None if not found else all(found)
    return whole


def inv(tol):
    return pairwise(lambda a, b: top(a) == top(b) or abs(b[top(a)] - a[top(a)]) <= tol)


def monotonic(up, tol, skip):
    def rule(a, b):
        k = top(a)
        if k == skip or (up and a[k] <= tol) or (not up and a[k] >= 1 - tol):
            return None
        return b[k] - a[k] + tol >= 0 if up else b[k] - a[k] - tol <= 0
    return pairwise(rule)


def towards(last, tol):
    def rule(a, b):
        change = a[NEG] - b[NEG] + b[POS] - a[POS]
        return change + tol >= 0 if last else change - tol <= 0
    return pairwise(rule)


kinds = [  # test, type, capability, expect in the file, labels, texts of a case, the rule
    ("one label", "MFT", "Vocabulary", None, 2, 1, single(lambda p, l: p == l)),
    ("labels", "MFT", "Temporal", None, "each", 1, single(lambda p, l: p == l)),
    ("simple negations: not negative", "MFT", "Negation", None, None, 1, single(lambda p, l: p != 0)),
    ("not neutral", "MFT", "Negation", {"not": 1}, None, 1, single(lambda p, l: p != 1)),
    ("typos", "INV", "Robustness", None, None, 3, inv(0.1)),
    ("exact", "INV", "Robustness", {"same": True, "tolerance": 0}, None, 2, inv(0)),
    ("intensifiers", "DIR", "Vocabulary", None, None, 2, monotonic(True, 0.1, 1)),
    ("reducers", "DIR", "Vocabulary", None, None, 2, monotonic(False, 0.1, 1)),
    ("surer", "DIR", "Own", {"confidence": "up", "tolerance": 0.05}, None, 4, monotonic(True, 0.05, -1)),
    ("add positive phrases", "DIR", "Vocabulary", None, None, 5, towards(True, 0.1)),
    ("add negative phrases", "DIR", "Vocabulary", None, None, 5, towards(False, 0.1)),
    ("what is this", "DIR", "Own", None, None, 2, None),
]
suite, probs, expected = [], [], []
for name, kind, capability, expect, labels, k, rule in kinds:
    data, label, wrong, skipped, unusable = [], [], 0, 0, 0
    for i in range(N):
        own = int(rng.integers(0, 3)) if labels == "each" else labels
        if i == 3:
            data.append(None)
            label.append(own)
            unusable += 1
            continue
        texts = [f"{name} {i} {j}" for j in range(k)]
        data.append(texts[0] if k == 1 else texts)
        label.append(own)
        if rule is None:
            skipped += 1
            continue
        first = prob()
        ps = [first] + [near(first) for _ in range(k - 1)]
        probs += ps
        found = rule(ps, own)
        wrong += found is False
        skipped += found is None
    suite.append({"test": name, "type": kind, "capability": capability, "labels": label if labels == "each" else labels, "data": data} | ({"expect": expect} if expect else {}))
    n = N - unusable - skipped
    ci = stats.binomtest(wrong, n).proportion_ci(0.95, "wilson") if n else None
    expected.append({"test": name, "n": n, "failures": wrong, "not_judged": skipped, "unusable": unusable} | ({"ci95": [float(ci.low), float(ci.high)]} if n else {}))
with open(OUT, "w") as o:
    json.dump({"made_by": "tools/golden/checklist.py", "suite": "".join(json.dumps(t) + "\n" for t in suite), "probs": probs, "tests": expected}, o, separators=(",", ":"))
    o.write("\n")
print([(e["test"], e["n"], e["failures"], e["not_judged"]) for e in expected], len(probs))
