#!/usr/bin/env python3
"""tests/golden/watch.json: capitals of src/watch/martingale.h by its definition, without any of its short cuts.

    python3 -m venv V; V/bin/pip install mpmath==1.4.1
    V/bin/python tools/golden/watch.py

A tilt's capital is the sum over when each part of its stake was laid down of the product of all its pays since; a tree's is, for each life, the sum
over active and idle nodes of all of the tree, learned shares and chances by counting again from the beginning.  In 40 digits."""
import json
import os
import random

import mpmath as mp

mp.mp.dps = 40
OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/watch.json")
HALF = mp.mpf(1) / 2
LIVES = [None, 64, 512, 4096, 32768]


def comes(n, arl):
    """The part of a stake that comes before the value with n before it."""
    return mp.mpf(1) if arl else HALF * (1 / mp.log(n + 2, 2) - 1 / mp.log(n + 3, 2))


def chance(mass, before, cells):
    """Of falling into `cells`, by the urn."""
    return mp.mpf(sum(mass[c] for c in cells) + sum(x in cells for x in before)) / (sum(mass) + len(before))


# ---- tilts ----

def edges(mass, lower):
    order = list(range(len(mass))) if lower else list(range(len(mass)))[::-1]
    for share in (0, mp.mpf(1) / 256, mp.mpf(1) / 64, mp.mpf(1) / 16):
        inside = {c for k, c in enumerate(order) if k == 0 or sum(mass[i] for i in order[:k + 1]) <= share * sum(mass)}
        for theta in (mp.mpf(1), mp.mpf("2.2")):
            yield [mp.exp(theta) if c in inside else mp.mpf(1) for c in range(len(mass))]


def tilts(mass, ordered):
    """(stake, weights) of all."""
    k = len(mass)
    if not ordered:
        largest = sorted(range(k), key=lambda c: -mass[c])[:16]
        own = [[mp.exp(mp.mpf(t)) if c == x else mp.mpf(1) for c in range(k)] for x in largest for t in ("0.35", "0.9", "-0.35", "-1")]
        return [(mp.mpf("0.35") / len(own), w) for w in own] + [(mp.mpf("0.15") / 8, w) for w in edges(mass, False)]
    middle = [(sum(mass[:c]) + mp.mpf(mass[c]) / 2) / sum(mass) for c in range(k)]
    z = [mp.sqrt(2) * mp.erfinv(2 * p - 1) for p in middle]
    out = [(mp.mpf("0.25") / 10, [mp.exp(s * mp.mpf(t) * x) for x in z]) for t in ("0.1", "0.2", "0.4", "0.8", "1.6") for s in (1, -1)]
    out += [(mp.mpf("0.1") / 6, [mp.exp(mp.mpf(t) * (x * x - 1)) for x in z]) for t in ("0.1", "0.25", "0.4", "-0.15", "-0.4", "-1.2")]
    return out + [(mp.mpf("0.075") / 8, w) for lower in (False, True) for w in edges(mass, lower)]


def tilts_capital(mass, cells, ordered, arl):
    total = mp.mpf(0)
    for stake, w in tilts(mass, ordered):
        pays = [w[c] / sum(w[x] * chance(mass, cells[:i], {x}) for x in range(len(mass))) for i, c in enumerate(cells)]
        for start in range(len(cells)):
            laid = comes(start, arl) + (HALF if start == 0 and not arl else 0)
            total += stake * laid * mp.fprod(pays[start:])
    return total


# ---- trees ----

def split(mass, lo, hi):
    """The border that makes both sides as equal as can be, the last of several."""
    best = lo + 1
    for mid in range(lo + 2, hi):
        if abs(2 * sum(mass[lo:mid]) - sum(mass[lo:hi])) <= abs(2 * sum(mass[lo:best]) - sum(mass[lo:hi])):
            best = mid
        else:
            break
    return best


def node(mass, cells, since, lo, hi, depth):
    """(active, idle) of the tree over cells lo..hi-1, for what came from `since` on."""
    if hi - lo == 1:
        return mp.mpf(1), mp.mpf(1)
    mid = split(mass, lo, hi)
    ratio, n = mp.mpf(1), [0, 0]
    for i in range(since, len(cells)):
        if lo <= cells[i] < hi:
            side = cells[i] >= mid
            sides = set(range(mid, hi)) if side else set(range(lo, mid))
            ratio *= (n[side] + HALF) / (n[0] + n[1] + 1) / (chance(mass, cells[:i], sides) / chance(mass, cells[:i], set(range(lo, hi))))
            n[side] += 1
    active, idle = ratio, mp.mpf(1)
    for a, b in ((lo, mid), (mid, hi)):
        x, y = node(mass, cells, since, a, b, depth + 1)
        p = mp.mpf(2) ** -(depth + 1) / 4 if b - a > 1 else 0
        active *= (x + y) / 2
        idle *= (1 - p) * y + p * x
    return active, idle


def tree(mass, cells, since):
    active, idle = node(mass, cells, since, 0, len(mass), 0)
    return (active + idle) / 2


def trees_capital(mass, cells, arl):
    forever = mp.mpf(0) if arl else mp.mpf("0.2")
    total = forever * tree(mass, cells, 0)
    for life in LIVES[1:]:
        stake = (HALF - forever) / 4
        capital, unspent, since = (mp.mpf(0) if arl else stake / 2), mp.mpf(0), 0
        for i in range(len(cells)):
            unspent += stake * comes(i, arl)
            if (i and i % life == 0) or (arl and i == 0):
                capital = (capital * tree(mass, cells[:i], since) if i else capital) + unspent
                unspent, since = mp.mpf(0), i
        total += capital * tree(mass, cells, since) + unspent
    return total


def main():
    r = random.Random(5)
    cases = []
    for ordered in (False, True):
        for arl in (False, True):
            for mass, weights in (([3, 1, 7, 2, 4, 1], [1] * 6), ([40, 30, 20, 5, 3, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 8]), ([1, 2, 4, 8, 16, 30, 30, 16, 8, 4, 2, 1], [2, 2, 4, 8, 8, 8, 20, 30, 16, 8, 4, 4])):
                cells = r.choices(range(len(mass)), weights, k=72)
                cases.append({"mass": mass, "ordered": ordered, "arl": arl, "cells": cells,
                              "capital": {n: float(tilts_capital(mass, cells[:n], ordered, arl) + trees_capital(mass, cells[:n], arl)) for n in (1, 2, 10, 63, 64, 65, 72)}})
    with open(OUT, "w") as f:
        json.dump({"made_by": "tools/golden/watch.py", "cases": cases}, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
