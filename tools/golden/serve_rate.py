#!/usr/bin/env python3
"""Golden values of tests/unit/test_plan_serve_rate.c: the formulas in the head of src/plan/serve_rate.h, written a second time from the text alone.

    tools/golden/serve_rate.py        prints the table of the test

A device, two models and constants that are nobody's, so that nothing depends on what is fitted."""
import math

PAD, MEMORY, WORKSPACE, PIPELINE, Z = 32, 0.92, 1e9, 0.9, 3.29
D = dict(bf16=400e12, fp8=800e12, fp4=1600e12, memory=100e9, bandwidth=2e12, reach=0.8, watts=500,
         link=300e9, share=0.7, latency=3e-6, peers=16)
K = dict(matrix=0.8, joule8=1.5e12, joule4=4e12, attention=0.4, layer=80e-6, row=10e-6, server=0.9)
DENSE = dict(dense=30e9, expert=0, experts=0, chosen=0, expert_layers=0, layers=40, heads=48, kv_heads=8, head=0.5e9, stream=6144,
             kv=100e3, kv_window=0, window=0, key=1.2e6, key_prompt=1.2e6, key_window=0, passes=5e6)
SPARSE = dict(dense=3e9, expert=25e6, experts=64, chosen=4, expert_layers=30, layers=32, heads=32, kv_heads=4, head=0.4e9, stream=3072,
              kv=20e3, kv_window=20e3, window=128, key=0.3e6, key_prompt=0.3e6, key_window=0.3e6, passes=3e6)


def rate(kind):
    """operations a second that products of such operands reach"""
    joule = {'fp4': K['joule4'], 'fp8': K['joule8'], 'bf16': K['joule8'] / 2}[kind]
    return min(K['matrix'] * D[kind], D['watts'] * joule)


def all_reduce(S, n):
    bw, step, fill = D['share'] * D['link'], D['latency'] * (1 + (n - 1) / D['peers']), 10 * D['latency']
    return min(step + (n - 1) * S / (0.7 * bw), 1.3 * step + 2 * (n - 1) / n * S / (0.7 * bw), fill + 2 * (n - 1) / n * S / bw)


def all_to_all(S, n):
    bw = D['share'] * D['link']
    return min(3 * D['latency'] + (n - 1) / n * S / (0.7 * bw), 10 * D['latency'] + (n - 1) / n * S / bw)


def step(m, bits, kind, cache, prompt, output, tp, pp, ep, B, prompts=True, beams=1, drafts=0, kept=0):
    M, R, R16 = D['reach'] * D['bandwidth'], rate(kind), rate('bf16')
    RC = rate('fp8') if cache == 1 else R16
    texts = B / pp
    rows = texts * beams * (1 + drafts)
    read = texts * (1 + kept) * prompt / output if prompts else 0
    n, seen, own = rows + read, prompt + output / 2, prompt / 2
    over = 1 if ep > 1 else tp
    W = m['dense'] / over / pp
    t = max(2 * W * n / R, W * bits / 8 / M)
    if m['experts']:
        group = n * ep if ep > 1 else n
        met = m['experts'] * (1 - (1 - m['chosen'] / m['experts']) ** group)
        one = m['expert'] * m['expert_layers'] / pp / (ep if ep > 1 else tp)
        t += max(2 * one * (group * m['chosen'] + met * PAD) / R, met * one * bits / 8 / M)
    h = m['head'] / over / pp
    t += max(2 * h * rows / R16, 2 * h / M)
    t += max(texts * beams * kv(m, seen) * cache / min(over, m['kv_heads']) / pp / M,
             rows * (m['key'] * seen + m['key_window'] * min(seen, m['window'])) / over / pp / (K['attention'] * RC))
    t += read * (m['key_prompt'] * own + m['key_window'] * min(own, m['window'])) / over / pp / (K['attention'] * R16)
    t += 2 * m['passes'] * n / over / pp / M
    if ep > 1:
        numbers = n * m['chosen'] * m['stream']
        t += m['expert_layers'] * (all_to_all(numbers, ep) + all_to_all(2 * numbers, ep))
    elif tp > 1:
        t += 2 * m['layers'] / pp * all_reduce(2 * n * m['stream'], tp)
    t += m['layers'] / pp * K['layer'] + rows * K['row']
    return t / (PIPELINE if pp > 1 else 1)


def kv(m, tokens):
    return m['kv'] * tokens + m['kv_window'] * min(tokens, m['window'])


def fits(m, bits, cache, prompt, output, tp, pp, ep, beams):
    over = 1 if ep > 1 else tp
    experts = m['expert'] * m['experts'] * m['expert_layers'] / (ep if ep > 1 else tp)
    weights = (m['dense'] / over + experts) / pp * bits / 8 + 2 * m['head'] / over * (1 if pp > 1 else 2)
    return (D['memory'] * MEMORY - WORKSPACE - weights) / (kv(m, prompt + beams * output / 2) * cache / min(over, m['kv_heads']) / pp)


def tokens(m, bits, kind, cache, prompt, output, devices, tp, pp, ep, tpot=0, beams=1, drafts=0, kept=0):
    args = (m, bits, kind, cache, prompt, output, tp, pp, ep)
    extra = dict(beams=beams, drafts=drafts, kept=kept)
    B = min(4096, fits(m, bits, cache, prompt, output, tp, pp, ep, beams))

    def late(B):
        full, alone = step(*args, B, **extra), step(*args, B, prompts=False, **extra)
        return pp / (1 + kept) * (alone + (full - alone) * (1 + Z / math.sqrt(B)))
    if tpot and late(B) > tpot:
        low, high = 1e-3, B
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if late(middle) <= tpot else (low, middle)
        B = low
    each = ep if ep > 1 else tp * pp
    out = devices // each * (1 + kept) * B / pp / step(*args, B, **extra) * (ep if ep > 1 else 1)
    return out * (K['server'] if tpot else 1), B, step(*args, B, **extra)


CASES = [
    ('DENSE', 8, 'fp8', 1, 500, 200, 8, 1, 1, 1, 0, {}),
    ('DENSE', 4.5, 'fp4', 1, 500, 200, 8, 2, 1, 1, 0, {}),
    ('DENSE', 16, 'bf16', 2, 3000, 400, 8, 2, 2, 1, 0, {}),
    ('DENSE', 8, 'fp8', 1, 500, 200, 8, 4, 1, 1, 0.03, {}),
    ('DENSE', 8, 'fp8', 1, 900, 70, 8, 1, 1, 1, 0, dict(beams=4)),
    ('SPARSE', 8, 'fp8', 1, 1000, 1000, 8, 1, 1, 4, 0, {}),
    ('SPARSE', 4.5, 'fp4', 1, 8000, 1300, 8, 1, 1, 1, 0.05, {}),
    ('SPARSE', 4.5, 'fp4', 1, 800, 4000, 8, 1, 1, 8, 0.015, dict(drafts=1, kept=0.8)),
]
for name, bits, kind, cache, prompt, output, n, tp, pp, ep, tpot, extra in CASES:
    a, B, t = tokens({'DENSE': DENSE, 'SPARSE': SPARSE}[name], bits, kind, cache, prompt, output, n, tp, pp, ep, tpot, **extra)
    load = dict(prompt=prompt, output=output, **({'tpot': tpot} if tpot else {}), **extra)
    print('        { &%s, { %g, NUMBER_%s, %g }, { %s }, %d, { %d, %d, %d }, %.8g, %.8g, %.8g },'
          % (name.lower(), bits, kind.upper(), cache, ', '.join('.%s = %g' % x for x in load.items()), n, tp, pp, ep, a, B, t))
