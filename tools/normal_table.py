#!/usr/bin/env python3
"""Writes src/cpu/simd/normal_table.h: the tail of the normal distribution and the slope of gelu as polynomials on intervals.

Q(z) = erfc(z / sqrt 2) / 2 and S(z) = Q(z) - z exp(-z^2/2) / sqrt(2 pi), for z in [0, 6): 32 intervals, degree 4 in the distance
from an interval's middle (in intervals), through Chebyshev's points, in 40 digits, then rounded.  Needs python3-mpmath.
Usage: tools/normal_table.py > src/cpu/simd/normal_table.h
"""
import mpmath as mp

mp.mp.dps = 40
N, END, DEGREE = 32, 6, 4


def tail(z):
    return mp.erfc(z / mp.sqrt(2)) / 2


def slope(z):
    return tail(z) - z * mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def coefficients(f, i):
    at = [mp.cos(mp.pi * (2 * k + 1) / (2 * (DEGREE + 1))) / 2 for k in range(DEGREE + 1)]
    a = mp.matrix(DEGREE + 1, DEGREE + 1)
    b = mp.matrix(DEGREE + 1, 1)
    for r, t in enumerate(at):
        b[r] = f((i + mp.mpf(1) / 2 + t) * END / N)
        for c in range(DEGREE + 1):
            a[r, c] = t ** c
    return mp.lu_solve(a, b)


print('/* normal_table.h - made by tools/normal_table.py, which says what is in it. */')
print('#define NORMAL_N %d' % N)
print('#define NORMAL_END %d.0f' % END)
print('#define NORMAL_DEGREE %d' % DEGREE)
for name, f in (('normal_tail', tail), ('gelu_slope', slope)):
    c = [coefficients(f, i) for i in range(N)]
    print('static const float %s[NORMAL_DEGREE + 1][NORMAL_N] = {' % name)
    for d in range(DEGREE + 1):
        values = [mp.nstr(c[i][d], 9) + 'f' for i in range(N)]
        for k in range(0, N, 8):
            print('    ' + ('{ ' if not k else '  ') + ', '.join(values[k:k + 8]) + (',' if k + 8 < N else ' },'))
    print('};')
