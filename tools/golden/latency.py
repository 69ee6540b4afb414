#!/usr/bin/env python3
"""tests/golden/latency.json: percentiles of latencies, their intervals, early stopping, slopes, and verdicts of MLPerf's Server and Interactive.

    python3 -m venv V; V/bin/pip install numpy==2.4.6 scipy==1.17.1
    V/bin/python tools/golden/latency.py ../shared/reference/evaluation_golden.json

Written from the definitions in src/eval/latency.h and LoadGen's rules, with scipy's binomial, chi2 and t, by search where C computes.
"""
import json, math, os, sys
import numpy as np
from scipy import stats

OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/latency.json")
rng = np.random.default_rng(20261126)
J = lambda v: None if v is None or not math.isfinite(v) else float(v)


def rank(p, n):
    return min(k for k in range(1, n + 1) if k >= p * n - 1e-9 * n * p)


def effect(x, thresholds):
    x, n = np.asarray(x), len(x)
    worst = 1.0
    for m in (8, 16, 32):
        if n < 4 * m:
            continue
        b, seen = n // m, [1]
        for t in thresholds:
            k = (x[: b * m] > t).reshape(m, b).sum(axis=1)
            share = k.mean() / b
            seen.append(k.var(ddof=1) / (share * (1 - share) * b) if 0 < share < 1 else 1)
        if stats.chi2.cdf((m - 1) * max(seen), m - 1) > 0.95:
            worst = max(worst, max(seen))
    return worst


def interval(s, n_eff, p, level):
    n, tail = len(s), (1 - level) / 2
    low = max([r for r in range(0, n_eff + 1) if r == 0 or stats.binom.cdf(r - 1, n_eff, p) < tail])
    high = min([r for r in range(1, n_eff + 2) if stats.binom.cdf(r - 1, n_eff, p) >= 1 - tail])
    low, high = math.floor(low * n / n_eff), math.ceil(high * n / n_eff)
    return [s[low - 1] if low >= 1 else 0, s[high - 1] if high <= n else math.inf]


def quantile(x, p, level):
    s, n = sorted(x), len(x)
    v = s[rank(p, n) - 1]
    d = effect(x, (v, s[rank(0.5, n) - 1]))
    n_eff = max(1, math.floor(n / d))
    a, b = interval(s, n, p, level), interval(s, n_eff, p, level)
    return {"p": p, "level": level, "value": J(v), "independent": [J(c) for c in a], "ci": [J(min(a[0], b[0])), J(max(a[1], b[1]))], "design": d, "n_effective": n_eff}


def needed(t, p, c=0.99):
    """The least h + t: doubling and stepping, as the rule is written."""
    h = 1
    while stats.binom.cdf(t, h + t, 1 - p) > 1 - c:
        h *= 2
    low, high = h // 2, h
    while high - low > 1:
        mid = (low + high) // 2
        low, high = (mid, high) if stats.binom.cdf(t, mid + t, 1 - p) > 1 - c else (low, mid)
    return high + t


def limit(x, p, most):
    s, n, over = sorted(x), len(x), sum(v > most for v in x)
    d = effect(x, (most, max(most / 2, s[rank(p, n) - 1]), max(most / 2, s[rank(0.5, n) - 1])))
    n_eff, over_eff = max(1, math.floor(n / d)), math.ceil(over / d)
    at = s[min(math.floor(n * p + 1e-9), n - 1)]
    return {"p": p, "limit": most, "at_rank": J(at), "over": over, "needed": needed(over, p), "n_effective": n_eff, "over_effective": over_eff, "needed_effective": needed(over_eff, p),
            "within": bool(at <= most), "stops": bool(n >= needed(over, p)), "stops_effective": bool(n >= needed(over, p) and n_eff >= needed(over_eff, p))}


def estimate(x, p):
    s, n = sorted(x), len(x)
    d = effect(x, (s[rank(p, n) - 1], s[rank(0.5, n) - 1]))
    n_eff = max(1, math.floor(n / d))
    most = lambda m: max([t for t in range(1, m + 1) if needed(t, p) <= m] or [0])
    t, te = most(n), most(n_eff)
    return {"p": p, "t": t, "value": J(s[n - t]) if t else None, "value_effective": J(s[n - math.floor(te * n / n_eff)]) if te else None}


def slope(at, x, level):
    b = len(x) // 16
    t, y = [], []
    for i in range(16):
        part = [(a, v) for a, v in zip(at[i * b : i * b + b], x[i * b : i * b + b]) if math.isfinite(v)]
        if part:
            t.append(np.mean([a for a, _ in part])), y.append(np.median([v for _, v in part]))
    if len(t) < 4:
        return None
    r = stats.linregress(t, y)
    half = stats.t.ppf(0.5 + level / 2, len(t) - 2) * r.stderr
    return [r.slope, r.slope - half, r.slope + half]


def queue(n, load, n_server=1):
    """Times in a queue, and when requests came."""
    free, at, x = [0.0] * n_server, [], []
    t = 0
    for _ in range(n):
        t += rng.exponential(1 / (load * n_server))
        k = int(np.argmin(free))
        free[k] = max(free[k], t) + rng.exponential()
        at.append(round(float(t), 6)), x.append(round(float(free[k] - t), 6))
    return at, x


def series():
    yield [], [0.25]
    yield [0.0, 1.0], [0.5, 0.5]
    yield list(map(float, range(40))), list(rng.integers(1, 5, 40).astype(float))
    yield list(map(float, range(100))), [round(float(v), 6) for v in rng.lognormal(size=100)]
    x = [round(float(v), 6) for v in rng.lognormal(size=700)]
    for i in (3, 300, 500):
        x[i] = math.inf
    yield list(map(float, range(700))), x
    for n, load in ((600, 0.5), (1000, 0.8), (500, 1.3), (2000, 0.9)):
        yield queue(n, load)


def run(n, load, n_token, ttft, tpot, scenario, fails=()):
    """Requests with two parts of latency, and what MLPerf's rules say of them."""
    at, x = queue(n, load, 4)
    at, x = [a / 10 for a in at], [v / 10 for v in x]
    gap = [round(float(v), 6) for v in rng.lognormal(math.log(0.012), 0.3, n)]
    tokens = [int(t) for t in rng.integers(1, n_token + 1, n)]
    first = [math.inf if i in fails else x[i] for i in range(n)]
    each = [math.inf if i in fails else gap[i] for i in range(n) if i in fails or tokens[i] > 1]
    a, b = limit(first, 0.99, ttft), limit(each, 0.99, tpot)
    return {"scenario": scenario, "at": at, "ttft": [J(v) for v in first], "tpot": gap, "tokens": tokens, "limits": [ttft, tpot], "verdict": {"ttft": a, "tpot": b,
            "constraints": a["within"] and b["within"], "stopping": a["stops_effective"] and b["stops_effective"]}}


g = {"h": json.load(open(sys.argv[1]))["loadgen_min_passing_h"], "series": [], "runs": []}
for at, x in series():
    at = at or [0.0] * len(x)
    g["series"].append({"at": at, "x": [J(v) for v in x], "quantile": [quantile(x, p, l) for p in (0.5, 0.9, 0.99) for l in (0.9, 0.95)],
                        "limit": [limit(x, p, m) for p, m in ((0.9, 2.0), (0.99, 8.0), (0.99, 60.0))], "estimate": [estimate(x, p) for p in (0.9, 0.99)], "slope": slope(at, x, 0.95)})
g["runs"] = [run(800, 0.3, 40, 2.0, 0.1, "server"), run(800, 0.3, 40, 0.5, 0.03, "interactive"), run(300, 0.3, 40, 2.0, 0.1, "server"), run(900, 0.95, 20, 0.6, 0.1, "server"),
             run(1500, 0.5, 8, 2.0, 0.1, "server", fails=(10, 900))]
json.dump(g, open(OUT, "w"), default=lambda v: v.item())
print(OUT, os.path.getsize(OUT), [r["verdict"]["constraints"] and r["verdict"]["stopping"] for r in g["runs"]])
