#!/usr/bin/env python3
"""Prints the rows of tests/unit/test_injection.c's table: rates corrected for a judge's errors, and chances of a hit in k tries.

    tools/golden/judge.py

Rogan & Gladen (1978) and the interval of Lang & Reiczigel (2014), in fractions as far as they go; hits by math.comb.  Also the share of
simulated data sets whose interval covers the true rate, for a judge of sensitivity 0.8 and specificity 0.95 on 60 + 60 labels."""
import random
from fractions import Fraction as F
from math import comb, sqrt
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)


def corrected(k, n, n_in, seen, n_held, false):
    se, sp = F(seen, n_in), 1 - F(false, n_held)
    rate = min(max((F(k, n) + sp - 1) / (se + sp - 1), 0), 1)
    n1, n2, n3 = n + Z * Z, n_in + 2, n_held + 2
    p, se, sp = (k + Z * Z / 2) / n1, (seen + 1) / n2, (n_held - false + 1) / n3
    y = se + sp - 1
    r = (p + sp - 1) / y
    move = 2 * Z * Z * (r * se * (1 - se) / n2 - (1 - r) * sp * (1 - sp) / n3)
    half = Z * sqrt(p * (1 - p) / n1 + r * r * se * (1 - se) / n2 + (1 - r) ** 2 * sp * (1 - sp) / n3) / y
    return float(rate), min(max(r + move - half, 0), 1), min(max(r + move + half, 0), 1)


if __name__ == "__main__":
    for row in (30, 100, 50, 40, 50, 5), (6, 23, 20, 19, 30, 1), (0, 40, 10, 10, 10, 0), (2, 100, 20, 18, 20, 4), (99, 100, 40, 38, 10, 1):
        print("{", ", ".join(map(str, row)), ",", ", ".join(f"{v:.12f}" for v in corrected(*row)), "},")
    for n, c, k in (10, 3, 1), (10, 3, 4), (5, 0, 5), (5, 5, 1), (100, 1, 10), (8, 6, 3):
        print("{", f"{n}, {c}, {k}, {1 - comb(n - c, k) / comb(n, k):.15f}", "},")
    r = random.Random(1)
    for true in 0.02, 0.2, 0.6, 0.95:
        covered, trials = 0, 4000
        for _ in range(trials):
            draw = lambda m, q: sum(r.random() < q for _ in range(m))
            k = draw(200, true * 0.8 + (1 - true) * 0.05)
            low, high = corrected(k, 200, 60, draw(60, 0.8), 60, draw(60, 0.05))[1:]
            covered += low <= true <= high
        print(true, covered / trials)
