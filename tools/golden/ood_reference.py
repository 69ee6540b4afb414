#!/usr/bin/env python3
"""Holds the out-of-distribution scores of `lathe eval` against numpy, scipy and scikit-learn on the very logits and features that it saw.

    lathe eval MODEL --images IN --ood OUT.. --ood-fit FIT --features-out rows.npz --json > found.json
    ood_reference.py rows.npz found.json

For each set and score: AUROC of both, and how far they are apart; then both FPR95 conventions and AUPR.  Of texts the same, of the features that
are called mean and last, of the classifier's, and of the means over tokens.  Exit code 1 where an AUROC differs by more than --most (0.005)."""
import argparse, json, sys
import numpy as np, scipy, sklearn
from scipy.special import logsumexp, softmax
from scipy.stats import entropy
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors


def measures(inside, outside):
    y, s = np.r_[np.ones(len(inside)), np.zeros(len(outside))], np.r_[inside, outside]

    def fpr95(y, s):
        fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
        return fpr[np.argmax(tpr >= .95)]

    def aupr(y, s):
        precision, recall, _ = precision_recall_curve(y, s)
        return auc(recall, precision)
    return dict(auroc=roc_auc_score(y, s), fpr95_id_positive=fpr95(y, s), fpr95_ood_positive=fpr95(1 - y, -s), aupr_in=aupr(y, s), aupr_out=aupr(1 - y, -s))


def of_logits(z):
    p = softmax(z, 1)
    return {"msp": p.max(1), "max_logit": z.max(1), "energy": logsumexp(z, 1), "entropy": -entropy(p, axis=1)}


def distance(fit, x):
    """As fit.mahalanobis(), which takes minutes where there are many classes."""
    return (x @ fit.get_precision() * x).sum(1)


class Features:
    """Scores that are fitted: to rows f with labels y (all one class where they have none)."""

    def __init__(self, f, y, z=None, w=None, b=None):
        self.f, self.z = f, z
        labels = np.unique(y)
        self.means = [f[y == c].mean(0) for c in labels]
        around = f - np.stack(self.means)[np.searchsorted(labels, y)]
        self.fits = {}
        for name, cls in (("", EmpiricalCovariance), ("_lw", LedoitWolf)):
            tied, whole = cls(assume_centered=False).fit(around), cls(assume_centered=False).fit(f)
            self.fits[name] = tied, whole
        self.many = len(labels) > 1
        unit = f / np.linalg.norm(f, axis=1, keepdims=True)
        self.near = NearestNeighbors(n_neighbors=min(50, len(f)), algorithm="brute").fit(unit)
        if w is not None:
            d = f.shape[1]
            dim = 1000 if d >= 2048 else 512 if d >= 768 else d // 2
            self.u = -np.linalg.pinv(w) @ b
            values, vectors = np.linalg.eigh(EmpiricalCovariance(assume_centered=True).fit(f - self.u).covariance_)
            self.rest = vectors[:, np.argsort(-values)[dim:]]
            self.alpha = z.max(1).mean() / np.linalg.norm((f - self.u) @ self.rest, axis=1).mean()

    def scores(self, x, z=None):
        out = {}
        for name, (tied, whole) in self.fits.items():
            least = np.min([distance(tied, x - m) for m in self.means], 0)
            out["mahalanobis" + name] = -least
            if self.many:
                out["rmds" + name] = -least + distance(whole, x - whole.location_)
        out["knn"] = -self.near.kneighbors(x / np.linalg.norm(x, axis=1, keepdims=True))[0][:, -1]
        if hasattr(self, "alpha"):
            out["vim"] = logsumexp(z, 1) - self.alpha * np.linalg.norm((x - self.u) @ self.rest, axis=1)
        return out


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("rows"), a.add_argument("found"), a.add_argument("--most", type=float, default=.005)
    o = a.parse_args()
    rows = {k: v.astype(np.float64) for k, v in np.load(o.rows).items()}
    found = json.load(open(o.found))["ood"]
    kinds = [k for k in ("features", "mean", "last") if "in_" + k in rows]
    fits = {}
    for k in kinds:
        if "fit_" + k not in rows:
            continue
        y = rows["fit_label"]
        y = y if (y >= 0).all() else np.zeros(len(y))
        head = (rows.get("fit_logits"), rows["head_w"], rows["head_bias"]) if "head_w" in rows else ()
        fits[k] = Features(rows["fit_" + k], y, *head)

    def scores(name):
        out = dict(of_logits(rows[name + "_logits"])) if name + "_logits" in rows else {}
        for s in ("nll", "msp", "energy", "entropy", "length"):
            if f"{name}_{s}" in rows:
                out[s] = rows[f"{name}_{s}"]
        for k, fit in fits.items():
            out |= {n + ("" if k == "features" else "." + k): v for n, v in fit.scores(rows[f"{name}_{k}"], rows.get(name + "_logits")).items()}
        return out
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}")
    inside, worst, other = scores("in"), 0, 0
    for i, (path, tree) in enumerate(found.items()):
        print(f"\n| {path} | lathe | reference | apart |\n|---|---|---|---|")
        outside = scores(f"out{i}")
        ours = {k: v for k, v in tree["scores"].items() if "auroc" in v}
        assert set(ours) == set(outside) - {k for k, v in tree["scores"].items() if "why_not" in v}, (sorted(ours), sorted(outside))
        for name, got in ours.items():
            want = measures(inside[name], outside[name])
            apart = abs(got["auroc"] - want["auroc"])
            worst = max(worst, apart)
            other = max(other, *(abs(got[k] - want[k]) for k in want))
            print(f"| {name} | {got['auroc']:.6f} | {want['auroc']:.6f} | {apart:.1e} |")
    print(f"\nlargest difference of AUROC {worst:.2e}, of FPR95 and AUPR too {other:.2e}")
    return int(worst > o.most)


if __name__ == "__main__":
    sys.exit(main())
