#!/usr/bin/env python3
"""tests/golden/queue.json: waiting times of M/D/1, and losses of M/D/1 with few places to wait, to hold a simulation against.

    python3 tools/golden/queue.py          (mpmath)

Service takes 1.  Waiting: Pollaczek-Khinchine's mean, and Erlang's distribution (1909),
P(W <= t) = (1 - rho) sum_{k=0}^{floor t} exp(rho (t - k)) (rho (k - t))^k / k!, whose terms cancel: 60 digits and more.
Losses of M/D/1/K (K in the system): the chain of numbers left behind by those that end, by linear algebra; then
P(lost) = 1 - 1 / (p0 + rho) (Cooper, Introduction to Queueing Theory, 1981, section 5.9).
"""
import json
import os
import mpmath as mp

mp.mp.dps = 120
OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/queue.json")


def cdf(rho, t):
    return (1 - rho) * sum(mp.e ** (rho * (t - k)) * (rho * (k - t)) ** k / mp.factorial(k) for k in range(int(mp.floor(t)) + 1))


def quantile(rho, p):
    low, high = mp.mpf(0), mp.mpf(1)
    if cdf(rho, mp.mpf(0)) >= p:
        return 0.0
    while cdf(rho, high) < p:
        high *= 2
    for _ in range(60):
        mid = (low + high) / 2
        low, high = (mid, high) if cdf(rho, mid) < p else (low, mid)
    return float(high)


def lost(rho, K):
    a = [mp.e ** -rho * rho ** i / mp.factorial(i) for i in range(K)]
    P = mp.matrix(K, K)
    for i in range(K):
        for j in range(K - 1):
            come = j - max(i - 1, 0)
            P[i, j] = a[come] if come >= 0 else 0
        P[i, K - 1] = 1 - sum(P[i, j] for j in range(K - 1))
    A = (P.T - mp.eye(K))
    for j in range(K):
        A[K - 1, j] = 1
    b = mp.matrix(K, 1)
    b[K - 1] = 1
    p0 = mp.lu_solve(A, b)[0]
    return float(1 - 1 / (p0 + rho))


out = {"wait": [], "lost": []}
for rho in ("0.3", "0.6", "0.8"):
    r = mp.mpf(rho)
    out["wait"].append({"rho": float(rho), "mean": float(r / (2 * (1 - r))), "p50": quantile(r, mp.mpf("0.5")), "p90": quantile(r, mp.mpf("0.9")), "p99": quantile(r, mp.mpf("0.99"))})
for rho, places in (("0.5", 1), ("0.9", 2), ("1.5", 3)):
    out["lost"].append({"rho": float(rho), "places": places, "lost": lost(mp.mpf(rho), places + 1)})
with open(OUT, "w") as f:
    json.dump(out, f, indent=1)
    f.write("\n")
