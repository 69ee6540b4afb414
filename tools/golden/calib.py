#!/usr/bin/env python3
"""Golden values for calibration, ranking, conformal sets and out-of-distribution scores: tests/golden/calib.json.

scikit-learn, scipy and netcal are run on random inputs; what they do not have is written here in numpy, by another way than in src/eval.
    tools/golden/calib.py [SHARED/data] > tests/golden/calib.json
needs numpy, scipy, scikit-learn, netcal.  With the folder of shared data the three nets of calibration-logits are measured too."""
import json
import os
import sys
import warnings

sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import netcal
import numpy as np
import scipy
import sklearn
from netcal.metrics import ACE, ECE, MCE
from scipy.optimize import brentq
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import betabinom, entropy
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.metrics import auc, average_precision_score, brier_score_loss, log_loss, precision_recall_curve, roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20261126)


def ranks(score, positive):
    precision, recall, _ = precision_recall_curve(positive, score)
    fpr, tpr, _ = roc_curve(positive, score, drop_intermediate=False)
    return dict(auroc=roc_auc_score(positive, score), ap=average_precision_score(positive, score), aupr=auc(recall, precision),
                fpr95=fpr[np.argmax(tpr >= .95)])


def rank_case(n, ties):
    positive = rng.integers(0, 2, n)
    score = rng.normal(size=n) + positive
    if ties:
        score = np.round(score * ties) / ties
    back = ranks(-score, 1 - positive)
    return dict(score=score.tolist(), positive=positive.tolist(), **ranks(score, positive), fpr95_other=back["fpr95"], aupr_other=back["aupr"])


def ece(conf, hit, parts):
    return sum(abs(hit[i].sum() - conf[i].sum()) for i in parts) / len(conf)


def shared(conf, hit):
    """Items of equal confidence share their outcomes."""
    _, group = np.unique(conf, return_inverse=True)
    return (np.bincount(group, hit) / np.bincount(group))[group]


def by_mass(conf, bins):
    return [i for i in np.array_split(np.argsort(conf, kind="stable"), bins) if len(i)]


def sweep(conf, hit):
    best = None
    for b in range(1, min(len(conf), 1000) + 1):
        parts = by_mass(conf, b)
        acc = np.array([hit[i].mean() for i in parts])
        if np.any(np.diff(acc) < -1e-12):
            break
        best = ece(conf, hit, parts)
    return best


def debiased(conf, hit, bins):
    total = 0
    for i in by_mass(conf, bins):
        acc, n = hit[i].mean(), len(i)
        if n > 1:
            total += n / len(conf) * ((acc - conf[i].mean()) ** 2 - acc * (1 - acc) / (n - 1))
    return total


def murphy(conf, hit, bins):
    which = np.minimum(np.floor(conf * bins), bins - 1).astype(int)
    rel = res = 0
    for b in np.unique(which):
        i = which == b
        rel += i.mean() * (conf[i].mean() - hit[i].mean()) ** 2
        res += i.mean() * (hit[i].mean() - hit.mean()) ** 2
    return dict(reliability=rel, resolution=res, uncertainty=hit.mean() * (1 - hit.mean()))


def netcal_ece(conf, hit, bins, metric=ECE):
    """Of one column: two-valued outcomes make netcal take X as the probability of 1."""
    return float(metric(bins).measure(conf.reshape(-1, 1).astype(np.float64), hit.astype(int)))


def metrics(p, y, bins):
    p = p.astype(np.float64)
    n, k = p.shape
    conf, hit = p.max(1), (p.argmax(1) == y).astype(float)
    onehot = np.eye(k)[y]
    even = shared(conf, hit)
    def mass_ece(c):
        return ece(p[:, c], shared(p[:, c], onehot[:, c]), by_mass(p[:, c], bins))
    out = {
        "ece.equal_width": netcal_ece(conf, hit, bins), "mce.equal_width": netcal_ece(conf, hit, bins, MCE),
        "ace.unweighted.equal_width": netcal_ece(conf, hit, bins, ACE),
        "ece.equal_mass": ece(conf, even, by_mass(conf, bins)), "ece.equal_mass.sweep": sweep(conf, even),
        "rms_ce.equal_mass": np.sqrt(sum(len(i) / n * (even[i].mean() - conf[i].mean()) ** 2 for i in by_mass(conf, bins))),
        "squared_ce.debiased_l2.equal_mass": debiased(conf, even, bins),
        "ece.classwise.equal_width": np.mean([netcal_ece(p[:, c], onehot[:, c], bins) for c in range(k)]),
        "ece.classwise.equal_mass": np.mean([mass_ece(c) for c in range(k)]),
        "brier.sum": np.mean(((p - onehot) ** 2).sum(1)), "brier.top": brier_score_loss(hit, np.minimum(conf, 1)),
        "accuracy": hit.mean(),
        "nll": log_loss(y, p, labels=range(k)) if n < 5000 else -np.mean(np.log(np.maximum(p[np.arange(n), y], 2.0 ** -126))),
    }
    if k == 2:
        out["ece.binary.equal_width"] = float(ECE(bins).measure(p, y))
        out["brier.binary"] = brier_score_loss(y, p[:, 1])
    out = {name: float(v) for name, v in out.items()}
    out["murphy"] = murphy(conf, hit, bins)
    sums = [murphy(p[:, c], onehot[:, c], bins) for c in range(k)]
    out["murphy_sum"] = {name: float(sum(s[name] for s in sums)) for name in sums[0]}
    return out


def temperature(z, y):
    z = z - z.max(1, keepdims=True)
    own = z[np.arange(len(y)), y]
    slope = lambda b: np.mean((softmax(b * z, 1) * z).sum(1) - own)
    beta = brentq(slope, 1e-6, 100, xtol=1e-15, rtol=1e-14, maxiter=1000)
    nll = lambda b: -np.mean(log_softmax(b * z, 1)[np.arange(len(y)), y])
    return dict(beta=beta, before=nll(1.0), after=nll(beta))


def conformal(p, y, n_cal, alpha, lam, k_reg):
    out = {}
    n, k = p.shape
    order = np.argsort(-p, axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    cum = np.take_along_axis(np.cumsum(np.take_along_axis(p, order, 1), 1), rank, 1)
    scores = dict(thr=1 - p, aps=cum, raps=cum + lam * np.maximum(0, rank + 1 - k_reg))
    for name, s in scores.items():
        own = np.sort(s[np.arange(n_cal), y[:n_cal]])
        at = int(np.ceil((n_cal + 1) * (1 - alpha)))
        q = own[at - 1] if at <= n_cal else 1e9      # every set is full
        sets = s[n_cal:] <= q
        out[name] = dict(q=float(q), sizes=sets.sum(1).tolist(), coverage=float(sets[np.arange(n - n_cal), y[n_cal:]].mean()))
    return out


def calib_case(n, k, bins, scale):
    z = np.round(rng.normal(size=(n, k)) * 2, 6)
    y = np.array([rng.choice(k, p=softmax(row / scale)) for row in z])
    p = softmax(z, 1)
    hit = p.argmax(1) == y
    order = np.argsort(-p.max(1), kind="stable")
    risk = np.cumsum(~hit[order]) / np.arange(1, n + 1)
    return dict(n=n, k=k, bins=bins, logits=z.ravel().tolist(), label=y.tolist(), values=metrics(p, y, bins), temperature=temperature(z, y),
                conformal=conformal(p, y, n // 2, .1, .05, 1), aurc_mean=float(risk.mean()),
                aurc_trapezoid=float(np.trapezoid(risk, np.arange(1, n + 1) / n) / (1 - 1 / n)))


def distances(x, train, y, k, cls):
    means = np.stack([train[y == c].mean(0) for c in range(k)])
    tied = cls(assume_centered=False).fit(train - means[y])
    whole = cls(assume_centered=False).fit(train)
    each = np.stack([tied.mahalanobis(x - m + tied.location_) for m in means], 1)
    best = each.min(1)
    return dict(mds=(-best).tolist(), rmds=(-best + whole.mahalanobis(x)).tolist(), shrinkage=getattr(tied, "shrinkage_", 0.0),
                shrinkage_whole=getattr(whole, "shrinkage_", 0.0))


def vim(train, train_z, x, z, w, b, dim):
    u = -np.linalg.pinv(w) @ b
    values, vectors = np.linalg.eigh(EmpiricalCovariance(assume_centered=True).fit(train - u).covariance_)
    rest = vectors[:, np.argsort(-values)[dim:]]
    alpha = train_z.max(1).mean() / np.linalg.norm((train - u) @ rest, axis=1).mean()
    return dict(alpha=alpha, score=(logsumexp(z, 1) - alpha * np.linalg.norm((x - u) @ rest, axis=1)).tolist())


def ood_case(n, m, d, k):
    y = rng.integers(0, k, n)
    centre = rng.normal(size=(k, d)) * 2
    mix = rng.normal(size=(d, d))
    f32 = lambda a: np.round(a.astype(np.float32), 4).astype(np.float32).astype(np.float64)
    train = f32(centre[y] + rng.normal(size=(n, d)) @ mix)
    x = f32(rng.normal(size=(m, d)) * 3)
    w, b = f32(rng.normal(size=(k, d)) / d), f32(rng.normal(size=k))
    train_z, z = f32(train @ w.T + b), f32(x @ w.T + b)
    unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
    near, _ = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(unit(train)).kneighbors(unit(x))
    exact = np.sort(np.linalg.norm(unit(x)[:, None] - unit(train)[None], axis=2), 1)
    assert np.allclose(near, exact[:, :10], atol=1e-6)
    p = softmax(z, 1)
    return dict(n=n, m=m, d=d, k=k, train=train.ravel().tolist(), label=y.tolist(), x=x.ravel().tolist(), w=w.ravel().tolist(), bias=b.tolist(),
                train_logits=train_z.ravel().tolist(), logits=z.ravel().tolist(), msp=p.max(1).tolist(), max_logit=z.max(1).tolist(),
                energy=logsumexp(z, 1).tolist(), energy_T2=(2 * logsumexp(z / 2, 1)).tolist(), entropy=(-entropy(p, axis=1)).tolist(),
                empirical=distances(x, train, y, k, EmpiricalCovariance), ledoit_wolf=distances(x, train, y, k, LedoitWolf),
                knn1=(-exact[:, 0]).tolist(), knn10=(-exact[:, 9]).tolist(), vim=vim(train, train_z, x, z, w, b, d // 2))


def mapie():
    """The inputs of MAPIE's tests/test_metrics.py; their values are in the test."""
    r = np.random.RandomState(1234567890)
    score, scores, y = r.random_sample(51), r.random_sample((51, 5)), r.randint(0, 2, 51)
    return dict(score=score.tolist(), scores_max=scores.max(1).tolist(), scores_argmax=scores.argmax(1).tolist(), y=y.tolist())


def nets(root):
    out = {}
    for name in ["lenet-5-cifar-10", "wideresnet-16-4-cifar-10", "wideresnet-16-4-cifar-100"]:
        with np.load(os.path.join(root, "calibration-logits", name + ".npz")) as f:
            p, y = f["predictions"], f["ground_truth"]
        z = np.log(np.maximum(p.astype(np.float64), 2.0 ** -126))
        fit = temperature(z, y)
        out[name] = dict(bins_10=metrics(p, y, 10), bins_15=metrics(p, y, 15), temperature=fit, scaled_15=metrics(softmax(fit["beta"] * z, 1), y, 15))
        out[name]["netcal_direct_15"] = float(ECE(15).measure(p.astype(np.float64), y))
    return out


def main():
    out = dict(versions=dict(python=sys.version.split()[0], numpy=np.__version__, scipy=scipy.__version__, sklearn=sklearn.__version__,
                             netcal=netcal.__version__),
               rank=[rank_case(40, 0), rank_case(61, 2), rank_case(50, 1)],
               calib=[calib_case(90, 4, 10, 1.0), calib_case(73, 3, 15, 2.5), calib_case(64, 2, 15, .8), calib_case(11, 5, 15, 1.0)],
               ood=[ood_case(80, 20, 6, 3)],
               coverage=[dict(n=n, alpha=a, m=m, range90=[betabinom.ppf(q, m, n + 1 - int((n + 1) * a), int((n + 1) * a)) / m for q in (.05, .95)])
                         for n, a, m in [(100, .1, 50), (500, .1, 500), (37, .25, 1000), (5000, .05, 5000)]], mapie=mapie(), nets=nets(sys.argv[1]) if len(sys.argv) > 1 else {})
    def plain(v):
        if isinstance(v, dict):
            return {k: plain(x) for k, x in v.items()}
        if isinstance(v, (list, tuple)):
            return [plain(x) for x in v]
        return v.item() if isinstance(v, np.generic) else v
    print("{" + ",\n".join(f"{json.dumps(k)}: {json.dumps(plain(v))}" for k, v in out.items()) + "}")


main()
