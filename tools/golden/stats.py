#!/usr/bin/env python3
"""tests/golden/stats.json: what scipy and statsmodels say of random inputs, and the values of shared/reference/evaluation_golden.json.

    python3 -m venv V; V/bin/pip install scipy==1.17.1 statsmodels==0.15.0 mpmath==1.4.1 xxhash==4.1.0
    V/bin/python tools/golden/stats.py ../shared/reference/evaluation_golden.json

Where no package has it (mid-p, power, Tango, Newcombe, MMD), it is computed here another way than in C: Tango's restricted likelihood is maximised
numerically, power is summed over the whole table; distributions come a second time from series of 50 digits.  The bootstrap's draws are made here from Philox as bootstrap.h says, and scipy.stats.bootstrap gets them.
"""
import json, math, os, platform, sys, warnings
import mpmath as mp, numpy as np, scipy, statsmodels, statsmodels.api as sm, xxhash
from scipy import optimize, special, stats
from scipy.spatial.distance import jensenshannon
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

warnings.simplefilter("ignore")
OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/stats.json")
rng = np.random.default_rng(20261126)
F = float


def args(n, *ranges):
    """Log-uniform draws."""
    return [[F(math.exp(rng.uniform(math.log(a), math.log(b)))) for a, b in ranges] for _ in range(n)]


def distributions():
    g = {"normal": [], "t": [], "chi2": [], "beta": [], "binom": [], "kolmogorov": []}
    for _ in range(40):
        z, p = rng.normal() * 8, rng.random()
        g["normal"].append([F(z), stats.norm.cdf(z), stats.norm.sf(z), p, stats.norm.ppf(p)])
    for (df, t), p in zip(args(60, (1, 1e5), (1e-3, 60)), rng.random(60)):
        t *= rng.choice([-1, 1])
        g["t"].append([F(t), df, special.stdtr(df, t), stats.t.sf(t, df), p, stats.t.ppf(p, df)])
    for (df,), p, z in zip(args(60, (1, 1e5)), rng.random(60), rng.normal(size=60) * 3):
        x = max(df + z * math.sqrt(2 * df), 1e-3)
        g["chi2"].append([x, df, stats.chi2.cdf(x, df), stats.chi2.sf(x, df), p, stats.chi2.ppf(p, df)])
    for (a, b), p in zip(args(80, (0.5, 1e5), (0.5, 1e5)), rng.random(80)):
        x = F(stats.beta.ppf(min(max(p + 0.1 * rng.normal(), 1e-6), 1 - 1e-6), a, b))
        g["beta"].append([x, a, b, special.betainc(a, b, x), special.betaincc(a, b, x), p, special.betaincinv(a, b, p)])
    for (n, p), q in zip(args(80, (1, 1e9), (1e-3, 1)), rng.random(80)):
        n = int(n)
        k = int(stats.binom.ppf(q, n, p))
        # scipy's point probability loses digits for n like 1e9; Loader's way in C is compared where it does not
        pmf = stats.binom.pmf(k, n, p) if n < 1e6 else -1
        g["binom"].append([k, n, p, pmf, special.betaincc(k + 1, n - k, p) if k < n else 1, special.betainc(k + 1, n - k, p) if k < n else 0, q, k])
    for n in [1, 2, 3, 5, 10, 40, 140, 141, 500, 3000, 50000, 99999]:
        for z in [0.55, 0.7, 0.9, 1.2, 1.36, 1.48, 1.7, 2.1]:
            d = min(z / math.sqrt(n), 1)
            g["kolmogorov"].append([d, n, stats.kstwo.sf(d, n)])
    return g


def series_beta(a, b, x):
    """I_x(a,b), x up to its mean (A&S 26.5.4)."""
    term = total = mp.mpf(1)
    i = 0
    while term > total * mp.mpf(10) ** -40:
        term *= x * (a + b + i) / (a + 1 + i)
        total += term
        i += 1
    return mp.exp(a * mp.log(x) + b * mp.log1p(-x) + mp.loggamma(a + b) - mp.loggamma(a + 1) - mp.loggamma(b)) * total


def both_tails(a, b, x, y):
    a, b, x, y = map(mp.mpf, (a, b, x, y))
    if x * (a + b) <= a:
        low = series_beta(a, b, x)
        return low, 1 - low
    high = series_beta(b, a, y)
    return 1 - high, high


def fifty_digits():
    """Doubles in, the exact probabilities rounded to doubles out: as far into the tails as doubles go, and for large counts."""
    mp.mp.dps = 50
    g = {"beta": [], "t": [], "chi2": [], "binom": [], "normal": []}
    for (a, b), z in zip(args(40, (0.5, 2e3), (0.5, 2e3)), rng.normal(size=40) * 6):
        x = F(1 / (1 + math.exp(-(math.log(a / b) + z * math.sqrt(1 / a + 1 / b)))))
        g["beta"].append([x, a, b, *map(F, both_tails(a, b, x, 1 - mp.mpf(x)))])
    for df, t in args(40, (1, 1e4), (0.01, 50)):
        s = mp.mpf(t) ** 2
        # x near 1 has the slow side; both sides of it are one series
        low, high = both_tails(0.5, mp.mpf(df) / 2, s / (df + s), df / (df + s))
        g["t"].append([t, df, F(high / 2)])
    for (df,), z in zip(args(40, (1, 1e4)), rng.normal(size=40) * 5):
        x = max(F(df + z * math.sqrt(2 * df)), 0.01)
        a, h = mp.mpf(df) / 2, mp.mpf(x) / 2
        term = total = mp.mpf(1)
        i = 0
        while term > total * mp.mpf(10) ** -48 or h > a + i:
            i += 1
            term *= h / (a + i)
            total += term
        low = mp.exp(a * mp.log(h) - h - mp.loggamma(a + 1)) * total
        g["chi2"].append([x, df, F(low), F(1 - low)])
    for n, p in ((10, 0.3), (1000, 0.5), (100000, 0.02), (10 ** 7, 0.3), (10 ** 9, 1e-8), (10 ** 12, 1e-9), (10 ** 14, 3e-13)):
        for z in (-6, -2, 0, 1, 3, 8):
            k = int(n * p + z * math.sqrt(n * p * (1 - p)))
            if not 0 <= k < n:
                continue
            P = mp.mpf(p)
            log_pmf = mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1) + k * mp.log(P) + (n - k) * mp.log1p(-P)
            term = total = mp.mpf(1)                            # downwards from k
            for i in range(k, 0, -1):
                term *= mp.mpf(i) / (n - i + 1) * (1 - P) / P
                total += term
                if term < total * mp.mpf(10) ** -45:
                    break
            cdf = mp.exp(log_pmf) * total
            g["binom"].append([k, n, p, F(mp.exp(log_pmf)), F(cdf), F(1 - cdf) if z < 8 else -1])
    for z in rng.uniform(-37, 37, 30):
        g["normal"].append([F(z), F(mp.erfc(-mp.mpf(z) / mp.sqrt(2)) / 2)])
    return g


def shares():
    # up to 10^6: at 10^9 scipy's beta quantile is off by 1e-8 of its value (1 of 10^9: 5.57164338e-9 by the Poisson limit and its first correction)
    out = []
    for n in [1, 2, 7, 50, 263, 10042, 1000000]:
        for k in {0, 1, n // 3, n - 1, n}:
            w, c = (proportion_confint(k, n, 0.05, m) for m in ("wilson", "beta"))
            w = (0 if k == 0 else w[0], 1 if k == n else w[1])                # exactly so; statsmodels is off by rounding
            out.append([k, n, *map(F, w), *[F(np.nan_to_num(v, nan=d)) for v, d in zip(c, (0, 1))]])
    return out


def tango(b, c, n, level=0.95):
    """The restricted likelihood by its derivative's root, the interval by the statistic's."""
    zc = stats.norm.ppf(1 - (1 - level) / 2)

    def z(d):
        least_b, least_c, room = max(d, 0.0), max(-d, 0.0), (1 - abs(d)) / 2     # P(b) = least_b + s, P(c) = least_c + s, 0 <= s <= room
        slope = lambda s: (b / (least_b + s) if b else 0) + (c / (least_c + s) if c else 0) - (n - b - c) / (room - s)
        e = room * 1e-15
        if slope(e) <= 0:
            s = 0
        elif slope(room - e) >= 0:
            s = room
        else:
            s = optimize.brentq(slope, e, room - e, xtol=1e-300, rtol=1e-15)
        return (b - c - n * d) / math.sqrt(n * (least_b + least_c + 2 * s - d * d))

    e, edge = (b - c) / n, 1 - 1e-13
    low = -1 if z(-edge) < zc else optimize.brentq(lambda d: z(d) - zc, -edge, e, xtol=1e-15)
    high = 1 if z(edge) > -zc else optimize.brentq(lambda d: z(d) + zc, e, edge, xtol=1e-15)
    return [F(low), F(high)]


def newcombe(both, b, c, neither):
    n = both + b + c + neither
    (l1, u1), (l2, u2) = (proportion_confint(both + k, n, 0.05, "wilson") for k in (b, c))
    p1, p2 = (both + b) / n, (both + c) / n
    sides = (both + b) * (c + neither) * (both + c) * (b + neither)
    cross = both * neither - b * c
    phi = 0 if sides == 0 else (max(cross - n / 2, 0) if cross > 0 else cross) / math.sqrt(sides)
    root = lambda x, y: math.sqrt(x * x - 2 * phi * x * y + y * y)
    return [F(p1 - p2 - root(p1 - l1, u2 - p2)), F(p1 - p2 + root(u1 - p1, p2 - l2))]


def pairs():
    out = []
    for _ in range(40):
        n = int(math.exp(rng.uniform(1, 9)))
        both, b, c, neither = (int(v) for v in rng.multinomial(n, rng.dirichlet([4, 0.6, 0.6, 2])))
        exact = mcnemar([[both, b], [c, neither]], exact=True).pvalue
        mid = 2 * stats.binom.cdf(min(b, c), b + c, 0.5) - stats.binom.pmf(min(b, c), b + c, 0.5)
        out.append([both, b, c, neither, F(exact), F(min(mid, 1)), F(stats.binom.sf(b - 1, b + c, 0.5)), *(tango(b, c, n) if b + c else [0, 0]), *newcombe(both, b, c, neither)])
    return out


def power(n, discordant, loss, alpha, mid):
    m = np.arange(n + 1)[:, None]
    c = np.arange(n // 2 + 1)[None, :]
    p = 2 * stats.binom.cdf(c, m, 0.5) - (stats.binom.pmf(c, m, 0.5) if mid else 0)
    said = (p <= alpha) & (2 * c < m)
    return F((stats.binom.pmf(m, n, discordant) * stats.binom.pmf(c, m, (1 - loss / discordant) / 2) * said).sum())


def powers():
    return [[n, d, loss, alpha, mid, power(n, d, loss, alpha, mid)]
            for n, d, loss in ((60, 0.4, 0.2), (333, 0.1, 0.05), (1000, 0.05, 0.02), (1319, 0.06, 0.02), (700, 1.0, 0.1), (900, 0.03, 0))
            for alpha in (0.05, 0.01) for mid in (0, 1)]


def samples(n, m, kind):
    x, y = rng.normal(size=n), rng.normal(0.4 * rng.random(), 1.2, size=m)
    if kind == "ties":
        x, y = np.round(x * 2) / 2, np.round(y * 2) / 2
    return [F(np.round(v, 4)) for v in x], [F(np.round(v, 4)) for v in y]


def two_samples():
    out = []
    for n, m, kind in ((1, 1, ""), (1, 5, ""), (3, 2, ""), (8, 8, ""), (7, 30, ""), (19, 20, ""), (12, 18, "ties"), (20, 20, ""), (25, 40, ""), (60, 60, "ties"),
                       (100, 37, ""), (150, 220, "ties"), (5, 5, "ties"), (9, 9, "")):
        x, y = samples(n, m, kind)
        ks, mw = stats.ks_2samp(x, y), stats.mannwhitneyu(x, y, alternative="two-sided")
        cvm = stats.cramervonmises_2samp(x, y) if min(n, m) > 1 else None
        out.append({"x": x, "y": y, "ks": [ks.statistic, ks.pvalue], "ks_asymp": stats.ks_2samp(x, y, method="asymp").pvalue, "mwu": [mw.statistic, mw.pvalue],
                    "cvm": [cvm.statistic, cvm.pvalue] if cvm else None, "w1": stats.wasserstein_distance(x, y), "energy": stats.energy_distance(x, y)})
        if n + m >= 4:
            ad = stats.anderson_ksamp([x, y])
            out[-1]["ad"] = [ad.statistic, ad.pvalue]
    return out


def tables():
    out = []
    for rows, columns, size in ((2, 2, 30), (2, 2, 8), (2, 5, 100), (3, 4, 300), (6, 2, 5000), (2, 2, 20000), (10, 7, 100000)):
        t = rng.multinomial(size, rng.dirichlet([5] * (rows * columns))).reshape(rows, columns) + (1 if size < 100 else 0)
        r = {"rows": rows, "columns": columns, "count": t.ravel().tolist()}
        for name, yates in (("plain", False), ("yates", True)):
            a, g = (stats.chi2_contingency(t, correction=yates, lambda_=l) for l in ("pearson", "log-likelihood"))
            r[name] = [a.statistic, a.pvalue, g.statistic, g.pvalue]
        r["df"], r["cramer"] = int(stats.chi2_contingency(t).dof), F(stats.contingency.association(t, "cramer"))
        out.append(r)
    return out


def fisher():
    out = []
    for _ in range(40):
        t = rng.multinomial(int(math.exp(rng.uniform(1, 10))), rng.dirichlet([1, 1, 1, 1])).reshape(2, 2)
        out.append([*t.ravel().tolist(), *[F(stats.fisher_exact(t, alternative=a).pvalue) for a in ("two-sided", "less", "greater")]])
    return out


def divergences():
    out = []
    for k in (1, 2, 3, 10, 50):
        p, q = (np.round(rng.dirichlet([0.7] * k), 4) + 1e-4 for _ in range(2))
        a, b = p / p.sum(), q / q.sum()
        f = [np.maximum(v, 0.01) for v in (a, b)]
        out.append({"p": p.tolist(), "q": q.tolist(), "kl_pq": stats.entropy(p, q), "kl_qp": stats.entropy(q, p), "js": jensenshannon(p, q), "js2": jensenshannon(p, q, 2),
                    "hellinger": F(np.sqrt(((np.sqrt(a) - np.sqrt(b)) ** 2).sum() / 2)), "tv": F(abs(a - b).sum() / 2), "psi": F(((a - b) * np.log(a / b)).sum()),
                    "psi_01": F(((f[0] - f[1]) * np.log(f[0] / f[1])).sum())})
    return out


def mmd():
    x, y = np.round(rng.normal(size=(17, 3)), 4), np.round(rng.normal(0.6, 1.1, size=(12, 3)), 4)
    d = lambda a, b: ((a[:, None] - b[None]) ** 2).sum(-1)
    median = np.median(np.sqrt(d(x, x)[np.triu_indices(17, 1)]))

    def estimate(x, y, sigma):
        k = lambda a, b: np.exp(-d(a, b) / 2 / sigma ** 2)
        off = lambda m: (m.sum() - np.trace(m)) / (len(m) * (len(m) - 1))
        return F(off(k(x, x)) + off(k(y, y)) - 2 * k(x, y).mean())
    at = estimate(x, y, median)
    draws = [rng.permutation(29) for _ in range(20000)]
    both = np.vstack([x, y])
    p = np.mean([estimate(both[s[:17]], both[s[17:]], median) >= at for s in draws])
    return {"x": x.ravel().tolist(), "y": y.ravel().tolist(), "d": 3, "median": F(median), "at_median": at, "at_1": estimate(x, y, 1), "p_about": F(p)}


def multiple():
    out = []
    for n in (1, 2, 7, 60):
        p = np.round(rng.random(n) ** 3, 4)
        out.append({"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist(), "bh": multipletests(p, method="fdr_bh")[1].tolist()})
    return out


def clusters():
    """A constant fitted to x / w with weights w: its cluster-robust error, with statsmodels' factor G/(G-1)."""
    out = []
    for n, g in ((12, 4), (60, 17), (200, 200)):
        x, w, c = np.round(rng.normal(size=n), 3), 1 + rng.integers(0, 9, n), rng.integers(0, g, n) if g < n else np.arange(n)
        r = {"x": x.tolist(), "w": w.tolist(), "cluster": c.tolist()}
        for name, weight in (("plain", np.ones(n)), ("weighted", w)):
            fit = sm.WLS(x / weight, np.ones(n), weights=weight).fit(cov_type="cluster", cov_kwds={"groups": c}, use_t=True)
            r[name] = [F(fit.params[0]), F(fit.bse[0]), *map(F, fit.conf_int(0.05)[0])]
        out.append(r)
    return out


def philox(key, hi, lo):
    k, c = [key & 0xffffffff, key >> 32], [lo & 0xffffffff, lo >> 32, hi & 0xffffffff, hi >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & 0xffffffff, (p >> 32) ^ c[3] ^ k[1], p & 0xffffffff]
        k = [(k[0] + 0x9E3779B9) & 0xffffffff, (k[1] + 0xBB67AE85) & 0xffffffff]
    return [c[1] << 32 | c[0], c[3] << 32 | c[2]]


def draws(seed, r, n):
    key, k = xxhash.xxh3_64_intdigest(b"bootstrap", seed), 1
    while k < 8 and n ** k <= 2 ** 56 // n:
        k += 1
    out, w = [], 0
    while len(out) < n:
        x, again = philox(key, r, w // 2)[w % 2], 0
        while x * n ** k % 2 ** 64 < 2 ** 64 % n ** k:
            again += 1
            x = philox(key, r | again << 48, w // 2)[w % 2]
        for _ in range(k):
            out.append(x * n >> 64)
            x = x * n % 2 ** 64
        w += 1
    return out[:n]


def bootstrap():
    out = []
    for n, seed in ((2, 1), (5, 2), (30, 3), (400, 4)):
        x, w = np.ceil(rng.exponential(size=n) * 64) / 64, 1 + rng.integers(0, 9, n)        # sums without rounding: ties are ties
        n_replicate = 400 if n < 400 else 100
        index = np.array([draws(seed, r, n) for r in range(n_replicate)])
        stats._resampling.rng_integers = lambda *a, **k: index
        r = {"x": x.tolist(), "w": w.tolist(), "seed": seed, "n_replicate": n_replicate, "first": draws(seed, 0, n)[:8]}
        # axis: the data come one sample or many; the ratio's weights are drawn with its values
        mean = lambda x, axis: np.mean(x, axis)
        for name, data, f in (("mean", (x,), mean), ("median", (x,), lambda x, axis: np.median(x, axis)),
                              ("ratio", (x, w), lambda x, w, axis: np.sum(x, axis) / np.sum(w, axis))):
            if name == "median" and n < 5:
                continue
            per = stats.bootstrap(data, f, n_resamples=n_replicate, paired=len(data) > 1, vectorized=True, method="percentile", rng=0)
            bca = stats.bootstrap(data, f, n_resamples=n_replicate, paired=len(data) > 1, vectorized=True, method="BCa", rng=0)
            r[name] = [F(f(*data, axis=-1)), F(per.standard_error), *map(F, per.confidence_interval), *map(F, bca.confidence_interval)]
        out.append(r)
    return out


def main():
    reference = json.load(open(sys.argv[1]))
    g = {"versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__,
                      "mpmath": mp.__version__}}
    keep = "mcnemar_exact wilson clopper_pearson t_975 ks wasserstein energy mwu_p pq chi2_contingency fisher bh conformal_cov_n100 conformal_cov_n500 " \
           "conformal_cov_n1000 adwin loadgen_min_passing_h"         # mmd2u_rbf_sigma1 is there without its inputs
    g["reference"] = {k: reference[k] for k in keep.split()}
    g.update(distributions())
    for f in (fifty_digits, shares, pairs, powers, two_samples, tables, fisher, divergences, mmd, multiple, clusters, bootstrap):
        g[f.__name__] = f()
    finite = lambda v: [finite(x) for x in v] if isinstance(v, (list, tuple)) else {k: finite(x) for k, x in v.items()} if isinstance(v, dict) else \
        None if isinstance(v, float) and math.isnan(v) else F(v) if isinstance(v, np.floating) else int(v) if isinstance(v, np.integer) else v
    with open(OUT, "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(finite(v))}" for k, v in g.items()) + "\n}\n")


main()
