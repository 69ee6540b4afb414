#!/usr/bin/env python3
"""Writes src/model/unicode_tables.h.  Usage: tools/unicode.py [PYTHON3.6] > src/model/unicode_tables.h

Categories are those of Unicode 16.0 (PyPI's unicodedata2 16.0.0), as in the expressions of Hugging Face's tokenizers 0.23 and of
tiktoken 0.14; grapheme breaks are those of PyPI's regex, cut to the characters that 16.0 assigns.  tokenizers' normalizers are
older: normal forms and marks are those of Unicode 9.0 (a Python 3.6, called to tell them), punctuation, accents and controls
those of 8.0 (9.0 without what it added)."""
import json
import subprocess
import sys
import types

import regex
import unicodedata2 as u

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()
SPACE_CONTROL = 30                     # what \s holds besides Z: tab to carriage return, and U+0085
END = 0x110000


OLD_CODE = """
import json, unicodedata as u
cps = [chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000]
forms = {f: {ord(c): u.normalize(f, c) for c in cps if u.normalize(f, c) != c} for f in ("NFC", "NFKC", "NFD", "NFKD")}
print(json.dumps([u.unidata_version, forms, {ord(c): u.combining(c) for c in cps if u.combining(c)},
                  {ord(c): u.decomposition(c) for c in cps if u.decomposition(c)}, [u.category(c) for c in cps]]))
"""


def old_unicode(python):
    version, forms, ccc, parts, cats = json.loads(subprocess.check_output([python, "-c", OLD_CODE]))
    assert version == "9.0.0"
    points = [c for c in range(END) if not surrogate(c)]
    table = dict(zip(points, cats))
    return types.SimpleNamespace(normalize=lambda f, s: "".join(forms[f].get(str(ord(c)), c) for c in s), combining=lambda c: ccc.get(str(ord(c)), 0),
                                 decomposition=lambda c: parts.get(str(ord(c)), ""), category=lambda c: table.get(ord(c), "Cs"))


# What 9.0 added to, or changed among, punctuation and nonspacing marks; and one control.
NEW_IN_9 = [(0x8d4, 0x8e2), (0x1885, 0x1886), (0x1dfb, 0x1dfb), (0x2e43, 0x2e44), (0xa8c5, 0xa8c5), (0x1123e, 0x1123e), (0x11400, 0x1145d), (0x11660, 0x1166c),
            (0x11c00, 0x11cb6), (0x1e000, 0x1e02a), (0x1e900, 0x1e95f)]


def old_sets():
    out = []
    for c in range(END):
        k, young = old.category(chr(c)), any(a <= c <= b for a, b in NEW_IN_9)
        v = 2 if k[0] == "M" else 0
        if not young:
            v |= (1 if k[0] == "P" else 0) | (4 if k == "Mn" else 0) | (8 if k in ("Cc", "Cf", "Co") else 0)
        out.append(v)
    return out


def two_stage(name, comment, values):
    blocks, pages = {}, []
    for at in range(0, END, 256):
        pages.append(blocks.setdefault(tuple(values[at:at + 256]), len(blocks)))
    assert len(blocks) <= 256
    print(f"/* {comment} */\nstatic const uint8_t {name}_page[{len(pages)}] = {{")
    rows([str(p) for p in pages])
    print(f"}};\nstatic const uint8_t {name}_block[{len(blocks)}][256] = {{")
    for b in blocks:
        print("    {")
        rows([str(v) for v in b])
        print("    },")
    print("};\n")


def rows(words):
    line = "   "
    for w in words:
        if len(line) + len(w) > 130:
            print(line)
            line = "   "
        line += " " + w + ","
    print(line)


def surrogate(c):
    return 0xD800 <= c < 0xE000


def categories():
    out = [CATEGORIES.index(u.category(chr(c))) for c in range(END)]
    for c in [*range(9, 14), 0x85]:
        out[c] = SPACE_CONTROL
    return out


def grapheme(value):
    r = regex.compile(rf"\p{{Grapheme_Cluster_Break={value}}}")
    return {c for c in range(END) if not surrogate(c) and u.category(chr(c)) != "Cn" and r.match(chr(c))}


def properties():
    forms = ["NFC", "NFKC", "NFD", "NFKD"]
    joins = grapheme("Extend") | grapheme("SpacingMark") | grapheme("ZWJ")
    prepends = grapheme("Prepend")
    # a character that may combine with what stands before it, and so is no place to begin: the second of a pair, or a mark
    second = {ord(d[-1]) for c in range(END) if not surrogate(c) for d in [old.normalize("NFD", chr(c))] if len(d) > 1}
    second |= {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
    out = []
    for c in range(END):
        ch, v = chr(c), 0
        if not surrogate(c):
            for i, f in enumerate(forms):
                if old.normalize(f, ch) != ch or old.combining(ch) or (i < 2 and c in second):
                    v |= 1 << i
            v |= 16 if lower(ch) != ch else 0
            v |= 32 if c in joins else 0
            v |= 64 if c in prepends else 0
        out.append(v)
    return out


# Pairs that Unicode 15 and 16 added to Python 3.11's lower case.
LOWER = {0x1c89: 0x1c8a, 0xa7cb: 0x264, 0xa7cc: 0xa7cd, 0xa7da: 0xa7db, 0xa7dc: 0x19b, **{c: c + 0x20 for c in range(0x10d50, 0x10d66)}}


def lower(ch):
    return chr(LOWER[ord(ch)]) if ord(ch) in LOWER else ch.lower()


def mapping(name, comment, f):
    pool, index = [], []
    for c in range(END):
        if surrogate(c) or 0xAC00 <= c < 0xD7A4:
            continue
        to = f(chr(c))
        if to != chr(c):
            index.append((c, len(pool), len(to)))
            pool += [ord(x) for x in to]
    print(f"/* {comment} */\nstatic const struct unicode_map {name}[] = {{")
    rows([f"{{{c},{at},{n}}}" for c, at, n in index])
    print(f"}};\nstatic const uint32_t {name}_pool[] = {{")
    rows([str(c) for c in pool])
    print("};\n")


def pairs():
    out = []
    for c in range(END):
        if surrogate(c) or 0xAC00 <= c < 0xD7A4:
            continue
        d = old.decomposition(chr(c))
        if d and not d.startswith("<") and len(d.split()) == 2 and old.normalize("NFC", chr(c)) == chr(c):
            a, b = (int(x, 16) for x in d.split())
            out.append((a, b, c))
    print("/* Canonical compositions, sorted. */\nstatic const struct unicode_pair unicode_pairs[] = {")
    rows([f"{{{a},{b},{c}}}" for a, b, c in sorted(out)])
    print("};\n")


def classes():
    out = [(c, old.combining(chr(c))) for c in range(END) if old.combining(chr(c))]
    runs = []
    for c, k in out:
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == k:
            runs[-1][1] = c
        else:
            runs.append([c, c, k])
    print("/* Canonical combining classes that are not 0: first, last, class. */\nstatic const struct unicode_class unicode_classes[] = {")
    rows([f"{{{a},{b},{k}}}" for a, b, k in runs])
    print("};\n")


old = old_unicode(sys.argv[1] if len(sys.argv) > 1 else "python3.6")
print(f"""/* unicode_tables.h - made by tools/unicode.py from Unicode {u.unidata_version} (normal forms: 9.0); do not edit. */
#include <stdint.h>

struct unicode_map {{ uint32_t cp; uint16_t at, n; }};
struct unicode_pair {{ uint32_t first, second, both; }};
struct unicode_class {{ uint32_t first, last; uint8_t ccc; }};
""")
two_stage("category", "enum unicode_category of every character.", categories())
two_stage("property", "enum unicode_property of every character.", properties())
two_stage("old", "enum unicode_old of every character.", old_sets())
mapping("unicode_canonical", "Full canonical decompositions (Hangul apart).", lambda c: old.normalize("NFD", c))
mapping("unicode_compatible", "Full compatibility decompositions (Hangul apart).", lambda c: old.normalize("NFKD", c))
mapping("unicode_lower_map", "Lower case, character by character.", lower)
pairs()
classes()
