#!/usr/bin/env python3
"""Makes tests/golden/labels.json: a small labelled set, and what scikit-learn, cleanlab and scipy say of it.

    python3 -m venv V && V/bin/pip install scikit-learn cleanlab scipy && V/bin/python -P tools/golden/labels.py > tests/golden/labels.json

The set: 360 texts of 4 to 14 words in three classes, every tenth with another class's label.  Naive Bayes by
sklearn.naive_bayes.MultinomialNB over words and pairs (binary), five folds by item modulo 5; the joint and the issues by
cleanlab.count (checked against its formula in numpy)."""
import json, math, sys
import cleanlab.count
import numpy as np
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

r = np.random.RandomState(7)
CLASSES = ["beach", "city", "forest"]
WORDS = [["sand", "wave", "gull", "shell", "tide", "salt", "boat"], ["tram", "street", "roof", "clerk", "tower", "bridge", "shop"],
         ["fern", "moss", "oak", "owl", "trail", "brook", "fox"]]
COMMON = ["the", "a", "old", "by", "one", "near", "quiet", "long", "under", "two"]
texts, labels = [], []
for i in range(360):
    c = [0, 0, 0, 1, 1, 2][r.randint(6)]
    n = r.randint(4, 15)
    texts.append(" ".join(r.choice(WORDS[c if r.rand() < 0.8 else r.randint(3)] if r.rand() < 0.4 else COMMON) for _ in range(n)))
    labels.append(int((c + 1 + r.randint(2)) % 3) if i % 10 == 3 else c)
y = np.array(labels)

x = CountVectorizer(binary=True, ngram_range=(1, 2), tokenizer=str.split, token_pattern=None).fit_transform(texts)
p = np.zeros((len(y), 3))
for fold in range(5):
    out = np.arange(len(y)) % 5 == fold
    p[out] = MultinomialNB(alpha=1.0).fit(x[~out], y[~out]).predict_proba(x[out])
threshold = np.array([p[y == c, c].mean() for c in range(3)])
C, issues = cleanlab.count.compute_confident_joint(y, p, calibrate=False, return_indices_of_off_diagonals=True)
mine = np.zeros((3, 3), int)
for i, row in enumerate(p):
    sure = [j for j in range(3) if row[j] >= threshold[j]]
    if sure:
        mine[y[i], max(sure, key=lambda j: row[j])] += 1
assert (mine == C).all(), (mine, C)
counts = np.bincount(y)
joint = C / C.sum(1, keepdims=True) * counts[:, None] / counts.sum()
assert abs(joint - cleanlab.count.estimate_joint(y, p, confident_joint=C)).max() <= 1 / len(y)      # it rounds to whole items

# Of 5000 records 700 have the label: of n with an n-gram, k have it.  The chance of as many or more.
# In whole numbers, as scipy's logsf ends at the smallest double; where it does not, it says the same.
N, K = 5000, 700
def tail(n, k):
    p = math.log(sum(math.comb(K, i) * math.comb(N - K, n - i) for i in range(k, min(n, K) + 1))) - math.log(math.comb(N, n))
    assert p < -600 or abs(p - stats.hypergeom.logsf(k - 1, N, K, n)) < 1e-9 * (1 - p)
    return p
def binomial_tail(n, k):
    p = math.log(sum(math.comb(n, i) * 7 ** i * 43 ** (n - i) for i in range(k, n + 1))) - n * math.log(50)      # 700 of 5000
    assert p < -600 or abs(p - stats.binom.logsf(k - 1, n, 0.14)) < 1e-9 * (1 - p)
    return p
tails = [dict(n=n, k=k, hypergeometric=tail(n, k), binomial=binomial_tail(n, k)) for n, k in ((1, 1), (60, 60), (60, 8), (60, 9), (200, 150), (700, 700), (1000, 500), (4999, 700), (50, 0), (300, 42))]
wilson = []
for k, n in ((0, 10), (1, 3), (81, 263), (10, 10), (500, 1000)):
    ci = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    wilson.append(dict(k=k, n=n, low=ci.low, high=ci.high))
two_by_two = []      # group with label, group, others with label, others
for a, n, b, m in ((30, 40, 300, 900), (5, 60, 400, 4000), (0, 12, 50, 100), (50, 100, 500, 1000)):
    odds, pv = stats.fisher_exact([[a, n - a], [b, m - b]])
    two_by_two.append(dict(a=a, n=n, b=b, m=m, p=pv))

holm = []
for ps in ([0.01, 0.04, 0.03, 0.005], [0.5, 0.2, 0.9], [0.02, 0.02, 0.001, 0.02, 0.3]):
    rank = np.argsort(ps, kind="stable")
    adjusted = np.empty(len(ps))
    adjusted[rank] = np.minimum(1, np.maximum.accumulate([(len(ps) - i) * ps[k] for i, k in enumerate(rank)]))
    holm.append(dict(p=ps, adjusted=adjusted.tolist()))

# 60 representations of 9 numbers; the last 6 are moved in one direction.  numpy.linalg.svd of what is centred.
rep = (r.randn(60, 9) * 8).round() / 8
rep[54:] += np.array([6, 0, -4, 0, 0, 2, 0, 0, 4])
rep = rep.astype(np.float32)
centred = rep.astype(np.float64) - rep.astype(np.float64).mean(0)
score = (centred @ np.linalg.svd(centred, full_matrices=False)[2][0]) ** 2
json.dump(dict(rep=rep.tolist(), score=score.tolist(), outliers=sorted(map(int, np.argsort(-score)[:9])), classes=CLASSES, texts=texts, labels=labels, p=p[::7].tolist(), accuracy=float((p.argmax(1) == y).mean()), threshold=threshold.tolist(),
               joint=joint.tolist(), rate=float(joint.sum() - np.trace(joint)), issues=sorted(map(int, issues)), entropy=float(stats.entropy(counts)),
               imbalance=float(counts.max() / counts.min()), N=N, K=K, tails=tails, wilson=wilson, fisher=two_by_two, holm=holm), sys.stdout, indent=0)
print()
