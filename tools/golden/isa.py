#!/usr/bin/env python3
"""What gfx942's instructions give, by AMD's published pseudocode, numpy and ml_dtypes.

  isa.py PSEUDOCODE > tests/golden/isa_gfx942.txt

PSEUDOCODE: lines "XOp.NAME: 'text'" of AMD's "CDNA" instruction set guide (tinygrad's tinygrad/runtime/autogen/amd/cdna/str_pcode.py has them as extracted
from the PDF).  Read are those texts that are assignments alone; the others are left out, and counted on stderr.  Instructions of floats of 8
bits, halves and dot products come from ml_dtypes and numpy.

A line: name, widths of the sources, width of the result, sources (old value of the destination and scc last), result, scc; numbers in hexadecimal.
"""
import ast
import math
import random
import re
import struct
import sys

import ml_dtypes
import numpy as np

random.seed(942)
FLOATS = [0.0, -0.0, 1.0, -1.0, 1.5, -2.75, 0.0078125, 3.25, 1048576.0, -96.5, 2.0 ** -20, 250.0, -0.3125, 65536.5]
WORDS = [0, 1, 2, 5, 31, 32, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x12345678, 0x87654321, 0xdeadbeef, 0x00ff00ff]


def bits(kind, x):
    return {'f32': lambda: struct.unpack('<I', struct.pack('<f', x))[0], 'f64': lambda: struct.unpack('<Q', struct.pack('<d', x))[0],
            'f16': lambda: struct.unpack('<H', struct.pack('<e', x))[0]}[kind]()


def value(kind, raw):
    n = int(kind[1:])
    raw &= (1 << n) - 1
    if kind[0] == 'f':
        return struct.unpack({16: '<e', 32: '<f', 64: '<d'}[n], raw.to_bytes(n // 8, 'little'))[0]
    return raw - (1 << n) if kind[0] == 'i' and raw >> (n - 1) else raw


def stored(kind, x):
    n = int(kind[1:])
    if kind[0] != 'f':
        return int(x) & ((1 << n) - 1)
    if n == 32:
        with np.errstate(all='ignore'):
            return int(np.float32(x).view(np.uint32))
    return bits(kind, x)


class Source:
    def __init__(self, raw):
        self.raw = raw


def typed(s, kind):
    return value(kind, s.raw)


def field(s, high, low, kind):
    return value('u' + str(high - low + 1), s.raw >> low) if kind[0] != 'f' else value(kind, s.raw >> low)


def cast(n, how, x):
    if how == 'F':
        return float(x) if n == 64 else float(np.float32(x))
    x = int(x) & ((1 << n) - 1)
    return x - (1 << n) if how == 'I' and x >> (n - 1) else x


def power(a, b):
    return a ** b if b < 2000 else math.inf


NAMES = {'typed': typed, 'field': field, 'cast': cast, 'fma': lambda a, b, c: a * b + c, 'sqrt': math.sqrt, 'log2': math.log2, 'pow': power, 'trunc': lambda x: math.copysign(math.trunc(x), x),
         'floor': math.floor, 'min': min, 'max': max,
         'f32_to_f16': lambda x: value('f16', bits('f16', x)), 'f16_to_f32': lambda x: x, 'i32_to_f32': float, 'u32_to_f32': float, 'f32_to_f64': float,
         'f64_to_f32': lambda x: x, 'i32_to_f64': float, 'u32_to_f64': float}


def translated(text):
    """Python of an expression; sources' kinds are noted in `kinds`."""
    t = re.sub(r"\b(S[012]|D0)\[(\d+) : (\d+)\]\.(\w+)", r"field(\1, \2, \3, '\4')", text)
    t = re.sub(r"\b(S[012]|D0)\[(\d+) : (\d+)\]", r"field(\1, \2, \3, 'u32')", t)
    t = re.sub(r"\b(S[012]|D0)\.([biuf]\d+)", lambda m: f"typed({m[1]}, '{m[2].replace('b', 'u')}')", t)
    t = re.sub(r"\btmp\.([biu])(\d+)", lambda m: f"cast({m[2]}, '{'I' if m[1] == 'i' else 'U'}', tmp)", t)
    t = re.sub(r"\b(\d+)'([UIFB])\(", r"cast(\1, '\2', ", t)
    t = re.sub(r"\b\d+'(\d+)U?\b", r"\1", t)
    t = re.sub(r"\b(0x[0-9a-f]+|\d+)U?L{0,2}\b", r"\1", t)
    t = re.sub(r"\b(\d+\.\d+)F", r"\1", t)
    t = t.replace('&&', ' and ').replace('||', ' or ').replace('SCC.u32', 'SCC').replace('SCC.u64', 'SCC')
    m = re.match(r'^(.*?) \? (.*) : (.*)$', t)
    return f'({m[2]}) if ({m[1]}) else ({m[3]})' if m else t


def program(text):
    """[(target, kind, python)] of a text of assignments, or None."""
    out = []
    for line in re.split(r';\n|\n', text):
        line = line.strip().rstrip(';')
        if not line or line.startswith('//'):
            continue
        m = re.match(r"^(D0|SCC|tmp)(?:\.([biuf]\d+))? = (.*)$", line)
        if not m or (m[1] == 'D0' and not m[2]):
            return None
        code = translated(m[3])
        try:
            tree = ast.parse(code, mode='eval')
        except SyntaxError:
            return None
        if any(isinstance(n, ast.Name) and n.id not in NAMES and n.id not in ('S0', 'S1', 'S2', 'D0', 'SCC', 'tmp') for n in ast.walk(tree)):
            return None
        out.append((m[1], (m[2] or 'u64').replace('b', 'u'), compile(tree, code, 'eval')))
    return out if any(o[0] == 'D0' for o in out) else None


def picked(kind, i):
    if kind[0] == 'f':
        return bits(kind, FLOATS[i % len(FLOATS)])
    n = int(kind[1:])
    w = WORDS[i % len(WORDS)] if i < 10 else random.getrandbits(32)
    return (w | random.getrandbits(32) << 32 if n == 64 and i % 3 else w) & ((1 << max(n, 32)) - 1)


def from_pseudocode(path):
    done, left = set(), 0
    for family, name, text in re.findall(r"^\s+(\w+)Op\.(\w+): (['\"].*['\"]),?$", open(path).read(), re.M):
        text = ast.literal_eval(text)
        if family not in ('SOP1', 'SOP2', 'VOP1', 'VOP2', 'VOP3', 'VOP3A') or name in done:
            continue
        code = program(text)
        if not code:
            left += 1
            continue
        done.add(name)
        uses = [re.findall(rf"\bS{s}\.([biuf]\d+)|\bS{s}\[", text) for s in range(3)]
        n = max([i + 1 for i in range(3) if uses[i]] or [0])
        kinds = [(([k for k in u if k] or ['u32'])[0]).replace('b', 'u') for u in uses[:n]]
        to = [k for t, k, _ in code if t == 'D0'][-1]
        if not n or int(to[1:]) < 32 or any(int(k[1:]) < 32 for k in kinds):
            continue
        for i in range(24):
            raw = [picked(k, i if s == 0 else i * 5 + 3 * s + 1) for s, k in enumerate(kinds)]
            old, scc = picked(to, i + 4), i & 1
            env = dict(NAMES, D0=Source(old), SCC=scc, tmp=0, **{f'S{s}': Source(r) for s, r in enumerate(raw)})
            result = None
            try:
                for target, kind, python in code:
                    x = eval(python, {'__builtins__': {}}, env)
                    if target == 'D0':
                        result = stored(kind, x)
                        env['D0'] = Source(result)
                    elif target == 'SCC':
                        scc = env['SCC'] = int(x)
                    else:
                        env['tmp'] = x
            except (ValueError, ZeroDivisionError, OverflowError, TypeError, AttributeError, struct.error):
                continue
            print(re.sub('_e(32|64)$', '', name.lower()), ' '.join(k[1:] for k in kinds), to[1:], ' '.join(f'{r:x}' for r in raw), f'{old:x}', i & 1, f'{result:x}', scc, sep='|')
    print(f'{len(done)} instructions, {left} texts that are more than assignments', file=sys.stderr)


def line(name, raw, result, old=0):
    print(name, ' '.join('32' for _ in raw), 32, ' '.join(f'{r:x}' for r in raw), f'{old:x}', 0, f'{result & 0xffffffff:x}', 0, sep='|')


def f32(x):
    return int(np.float32(x).view(np.uint32))


def from_libraries():
    for name, kind in (('fp8', ml_dtypes.float8_e4m3fnuz), ('bf8', ml_dtypes.float8_e5m2fnuz)):
        for code in range(256):
            line(f'v_cvt_f32_{name}', [code], f32(np.array([code], np.uint8).view(kind).astype(np.float32)[0]))
        for _ in range(64):
            x = np.array([random.choice([1, -1]) * random.uniform(1, 2) * 2.0 ** random.randint(-12, 7) for _ in range(2)], np.float32)
            c = x.astype(kind).view(np.uint8)
            line(f'v_cvt_pk_{name}_f32', [f32(x[0]), f32(x[1])], int(c[0]) | int(c[1]) << 8 | 0xabcd0000, 0xabcd1234)
    for _ in range(32):
        a, b, c = (random.getrandbits(32) for _ in range(3))
        i8 = [np.array([v], np.uint32).view(np.int8).astype(np.int64) for v in (a, b)]
        line('v_dot4_i32_i8', [a, b, c], int(i8[0] @ i8[1]) + c)
        line('v_dot4c_i32_i8', [a, b], int(i8[0] @ i8[1]) + c, c)
        x = np.float32(random.uniform(-70000, 70000) * 2.0 ** random.randint(-30, 0))
        with np.errstate(over='ignore'):
            line('v_cvt_f16_f32', [f32(x)], int(np.float16(x).view(np.uint16)))
        line('v_cvt_f32_f16', [a & 0x7bff], f32(np.array([a & 0x7bff], np.uint16).view(np.float16)[0]))
        y = np.float32(random.uniform(-20, 20))
        line('v_exp_f32', [f32(y)], f32(np.exp2(np.float64(y))))
        line('v_log_f32', [f32(abs(y))], f32(np.log2(np.float64(abs(y)))))
        line('v_rcp_f32', [f32(y)], f32(1 / np.float64(y)))
        line('v_rsq_f32', [f32(abs(y))], f32(1 / np.sqrt(np.float64(abs(y)))))
        line('v_rndne_f32', [f32(y)], f32(np.rint(y)))
        line('v_cvt_i32_f32', [f32(y * 1000)], int(np.trunc(np.float32(y * 1000))))
    for x, r in ((np.nan, 0), (np.inf, 0x7fffffff), (-np.inf, 0x80000000), (3e9, 0x7fffffff)):
        line('v_cvt_i32_f32', [f32(x)], r)


from_pseudocode(sys.argv[1])
from_libraries()
