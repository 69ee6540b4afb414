#!/usr/bin/env python3
"""Writes src/model/unicode_case.h: what isprintable, isalpha, isnumeric, upper, lower and title of str mean beyond ASCII, from this Python.

    tools/unicode_case.py > src/model/unicode_case.h
"""
import unicodedata


def ranges(belongs):
    out = []
    for cp in range(0x80, 0x110000):
        if belongs(cp):
            if out and out[-1][1] == cp - 1:
                out[-1][1] = cp
            else:
                out.append([cp, cp])
    return out


def runs(of):
    """Single characters that map to one: runs of equal distance, every or every second character."""
    out = []
    for cp in range(0x80, 0x110000):
        to = of(chr(cp))
        if len(to) != 1 or ord(to) == cp:
            continue
        delta = ord(to) - cp
        if out and out[-1][3] == delta and cp - out[-1][1] <= 2 and (out[-1][0] == out[-1][1] or cp - out[-1][1] == out[-1][2]):
            out[-1][2] = cp - out[-1][1]
            out[-1][1] = cp
        else:
            out.append([cp, cp, 1, delta])
    return out


def special(of):
    return [(cp, [ord(c) for c in of(chr(cp))]) for cp in range(0x80, 0x110000) if len(of(chr(cp))) > 1]


def rows(text, per_line):
    for i in range(0, len(text), per_line):
        print("    " + " ".join(text[i:i + per_line]))
    print("};\n")


print(f"""/* unicode_case.h - made by tools/unicode_case.py from Unicode {unicodedata.unidata_version}; do not edit. */
#include <stdint.h>

struct unicode_span {{ uint32_t first, last; }};
/* first, first + step, ... last map to themselves + delta. */
struct unicode_run {{ uint32_t first, last; int32_t step, delta; }};
struct unicode_many {{ uint32_t from, to[3]; }};

/* Beyond ASCII: what str.isprintable() says no to. */
static const struct unicode_span unicode_hidden[] = {{""")
rows([f"{{ 0x{a:x}, 0x{b:x} }}," for a, b in ranges(lambda c: not chr(c).isprintable())], 8)
for name, of in (("alpha", str.isalpha), ("numeric", str.isnumeric), ("digit", str.isdigit)):
    print(f"static const struct unicode_span unicode_{name}[] = {{")
    rows([f"{{ 0x{a:x}, 0x{b:x} }}," for a, b in ranges(lambda c: of(chr(c)))], 8)
for name, of in (("lower", str.lower), ("upper", str.upper), ("title", str.title)):
    print(f"static const struct unicode_run unicode_{name}[] = {{")
    rows([f"{{ 0x{a:x}, 0x{b:x}, {s}, {d} }}," for a, b, s, d in runs(of)], 6)
    print(f"static const struct unicode_many unicode_{name}_many[] = {{")
    rows(["{ 0x%x, { %s } }," % (cp, ", ".join(f"0x{c:x}" for c in to)) for cp, to in special(of)], 6)
